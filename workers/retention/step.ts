import type { RetentionPolicy } from "../../shared/contracts/policy.ts";
import { DAY_MS } from "../../shared/time.ts";
import type { Env } from "../env.ts";
import { currentPolicy } from "../store/policy.ts";
import { archiveEvents } from "./archive.ts";
import { resumeRemovals } from "./blobs.ts";
import { eraseStep } from "./erase.ts";
import { expireArchives } from "./expire.ts";
import { collectIdleImages, sweepOrphans } from "./images.ts";
import { RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";
import { indexImages } from "./refs.ts";

/** What one step did: events, erasures, images and blobs. */
export interface RetentionDone {
  readonly indexed: number;
  readonly erased: number;
  readonly archived: number;
  readonly deleted: number;
  readonly collected: number;
  readonly orphans: number;
}

/**
 * One bounded step of all that has to go: what somebody wants erased, events that are old, images that nothing shows. It may be
 * cut off anywhere, and two may run at the same time.
 */
export async function retentionStep(
  env: Pick<Env, "DB" | "BLOBS">,
  nowMs: number,
  policy?: RetentionPolicy,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<RetentionDone> {
  const days = policy ?? (await currentPolicy(env.DB)).document.retention;
  const before = (age: number) => nowMs - age * DAY_MS;
  const deadline = Date.now() + limits.stepMs;
  const resumed = await resumeRemovals(env, nowMs);
  const indexed = await indexImages(env, nowMs, deadline, limits);
  return {
    indexed: indexed.events,
    erased: await eraseStep(env, nowMs, deadline, limits),
    archived: await archiveEvents(env, nowMs, before(days.archiveAfterDays), deadline, limits),
    deleted: await expireArchives(env, nowMs, before(days.deleteAfterDays), deadline, limits),
    collected: indexed.caughtUp ? await collectIdleImages(env, nowMs, before(days.imageGraceDays), limits) : 0,
    orphans: resumed + (await sweepOrphans(env, nowMs, limits)),
  };
}
