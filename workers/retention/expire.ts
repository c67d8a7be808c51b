import type { Env } from "../env.ts";
import { dropArchive, expiredArchives } from "../store/archives.ts";
import { deleteBlobs } from "./blobs.ts";
import { RETENTION_ACTOR, RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";
import { readLines } from "./lines.ts";

/**
 * Deletes archived events, object by object, when the newest event of the object came before `cutoff` (ms). What was made of
 * them stays, and keeps its images.
 * @returns how many events
 */
export async function expireArchives(
  env: Pick<Env, "DB" | "BLOBS">,
  nowMs: number,
  cutoff: number,
  deadline: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<number> {
  let events = 0;
  for (const archive of await expiredArchives(env.DB, cutoff, limits.expireArchives)) {
    if (Date.now() >= deadline) break;
    const ids = (await readLines(env, archive.blob)).map(({ id }) => id);
    const details = { client: archive.clientId, events: archive.events, bytes: archive.bytes };
    const audit = { actor: RETENTION_ACTOR, action: "retention.expire", subject: archive.blob, details, at: nowMs };
    if (!(await dropArchive(env.DB, archive.blob, ids, audit))) continue;
    await deleteBlobs(env, [archive.blob]);
    events += archive.events;
  }
  return events;
}
