import type { Hono } from "hono";
import type { z } from "zod";
import type { readiness } from "../../shared/contracts/api/system.ts";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { Env } from "../env.ts";
import { answers } from "../store/db.ts";
import type { AppEnv } from "./context.ts";
import { mount } from "./operation.ts";

/** After which what has not answered counts as not answering. */
const PATIENCE_MS = 2_000;
/** A name under which nothing is stored: to hear so is an answer. */
const NO_BLOB = "readyz";

/** Says, without a key, whether the Worker runs, and whether what it stands on answers. */
export function mountHealth(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.getLiveness, () => ({ ok: true as const }));
  mount(app, OPERATIONS.getReadiness, async (c) => {
    const state = await readinessOf(c.env);
    return state.ready ? state : c.json(state, 503);
  });
}

async function readinessOf(env: Pick<Env, "DB" | "BLOBS">): Promise<z.infer<typeof readiness>> {
  const [database, blobs] = await Promise.all([inTime(answers(env.DB)), inTime(blobsAnswer(env.BLOBS))]);
  return { ready: database && blobs, database, blobs };
}

async function blobsAnswer(blobs: R2Bucket): Promise<boolean> {
  try {
    await blobs.head(NO_BLOB);
    return true;
  } catch {
    return false;
  }
}

function inTime(answer: Promise<boolean>): Promise<boolean> {
  return Promise.race([answer, new Promise<boolean>((give) => setTimeout(give, PATIENCE_MS, false))]);
}
