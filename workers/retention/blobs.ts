import type { Env } from "../env.ts";
import { endRemovals, forgetRemovals, takeOverRemovals } from "../store/removals.ts";
import { REMOVAL_KEPT_MS, REMOVAL_LOST_MS } from "./limits.ts";

/** Objects that R2 deletes at once. */
const DELETE_BLOBS = 1_000;

/** Deletes blobs whose removal this invocation began, and notes that it is done. */
export async function deleteBlobs(env: Pick<Env, "DB" | "BLOBS">, blobs: readonly string[]): Promise<void> {
  for (let at = 0; at < blobs.length; at += DELETE_BLOBS) {
    const some = blobs.slice(at, at + DELETE_BLOBS);
    await env.BLOBS.delete(some);
    await endRemovals(env.DB, some);
  }
}

/**
 * Ends removals that were cut off, and forgets those that are long done.
 * @returns how many were ended
 */
export async function resumeRemovals(env: Pick<Env, "DB" | "BLOBS">, nowMs: number): Promise<number> {
  const left = await takeOverRemovals(env.DB, nowMs - REMOVAL_LOST_MS, DELETE_BLOBS, nowMs);
  await deleteBlobs(env, left);
  await forgetRemovals(env.DB, nowMs - REMOVAL_KEPT_MS, DELETE_BLOBS);
  return left.length;
}
