import type { ErasureRequest, ErasureRow } from "../../shared/contracts/retention.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { clientExists, type Erasure, findErasure, insertErasure, listErasures as list } from "../store/erasures.ts";
import { isImageKnown } from "../store/image-refs.ts";
import { eraseStep } from "./erase.ts";
import { RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";
import { indexImages } from "./refs.ts";

/**
 * Begins to delete what a client sent, or whatever shows an image, and works on it for a bounded time; the rest follows by
 * itself. Asking again while it runs gets the same erasure. A client's keys stay open: what it sends afterwards is kept.
 * @throws {ApiError} `not_found` for an unknown client, or an image that was never seen
 */
export async function requestErasure(
  env: Pick<Env, "DB" | "BLOBS">,
  actor: Actor,
  request: ErasureRequest,
  nowMs: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<ErasureRow> {
  demand(actor, "admin");
  const [kind, subject] =
    "client" in request ? (["client", request.client] as const) : (["image", request.image] as const);
  if (!(await (kind === "client" ? clientExists : isImageKnown)(env.DB, subject))) {
    throw new ApiError(
      "not_found",
      kind === "client" ? "There is no client with this id." : "Nothing shows this image.",
    );
  }
  const erasure = { id: crypto.randomUUID(), kind, subject, requestedBy: actorName(actor), requestedAt: nowMs };
  const { id } = await insertErasure(env.DB, erasure);
  const deadline = Date.now() + limits.requestMs;
  await indexImages(env, nowMs, deadline, limits);
  await eraseStep(env, nowMs, deadline, limits);
  return getErasure(env, actor, id);
}

/** @throws {ApiError} `not_found` */
export async function getErasure(env: Pick<Env, "DB">, actor: Actor, id: string): Promise<ErasureRow> {
  demand(actor, "admin");
  const found = await findErasure(env.DB, id);
  if (!found) throw new ApiError("not_found", "There is no erasure with this id.");
  return toRow(found);
}

/** The newest first. They stay when they are done: what was deleted, and on whose word. */
export async function listErasures(env: Pick<Env, "DB">, actor: Actor): Promise<ErasureRow[]> {
  demand(actor, "admin");
  return (await list(env.DB)).map(toRow);
}

function toRow({ position: _, removed, ...erasure }: Erasure): ErasureRow {
  return { ...erasure, removed: JSON.parse(removed) as Record<string, number> };
}
