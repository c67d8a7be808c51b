import type { z } from "zod";
import { type tickJobs, type tickRequest, tickResponse } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { countJobs } from "../store/jobs.ts";
import { findTick } from "../store/ticks.ts";
import { fromRow } from "./archive.ts";
import { runTick, type Tick, type TickEnv } from "./tick.ts";

type TickView = z.infer<typeof tickResponse>;
type TickJobs = z.infer<typeof tickJobs>;

/**
 * Makes the plan of the slot, or finds it; without a slot, a new one.
 * @throws {ApiError} `forbidden`, `overloaded`
 */
export async function demandTick(
  env: TickEnv,
  actor: Actor,
  request: z.infer<typeof tickRequest>,
  now: number,
): Promise<TickView> {
  demand(actor, "operate");
  const slot = request.slot ?? `demand/${crypto.randomUUID()}`;
  return view(env, await runTick(env, { slot, seed: request.seed, now }));
}

/** @throws {ApiError} `not_found` */
export async function getTick(env: Pick<Env, "DB" | "BLOBS">, actor: Actor, id: number): Promise<TickView> {
  demand(actor, "operate");
  return view(env, { row: await requireTick(env.DB, id), created: false });
}

/**
 * How far a tick's edits are, and how they ended.
 * @throws {ApiError} `not_found`
 */
export async function getTickJobs(env: Pick<Env, "DB">, actor: Actor, id: number): Promise<TickJobs> {
  demand(actor, "operate");
  const tick = await requireTick(env.DB, id);
  const view: TickJobs = {
    tickId: id,
    asked: tick.jobs,
    accepted: 0,
    refused: 0,
    failed: 0,
    queued: 0,
    reasons: {},
    editors: {},
  };
  for (const { state, reason, editor, jobs } of await countJobs(env.DB, id)) {
    view[state] += jobs;
    if (reason !== null) view.reasons[reason] = (view.reasons[reason] ?? 0) + jobs;
    if (editor !== null) view.editors[editor] = (view.editors[editor] ?? 0) + jobs;
  }
  return view;
}

async function requireTick(db: D1Database, id: number) {
  const tick = await findTick(db, id);
  if (!tick) throw new ApiError("not_found", "There is no tick with this id.");
  return tick;
}

async function view(env: Pick<Env, "BLOBS">, { row, created }: Tick): Promise<TickView> {
  const plan: unknown = JSON.parse(await fromRow(env, row.plan));
  return tickResponse.parse({ ...row, created, plan });
}
