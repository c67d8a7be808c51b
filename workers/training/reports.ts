import type { z } from "zod";
import type {
  heartbeatRequest,
  heartbeatResponse,
  reportsRequest,
  reportsResponse,
} from "../../shared/contracts/training.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { type Holder, heartbeat, release } from "../store/leases.ts";
import { insertReports } from "../store/reports.ts";
import { late, requireHeld } from "./holder.ts";

/**
 * Keeps the lease for another full time, and tells how far the round is.
 * @throws {ApiError} `conflict` for a late holder
 */
export async function beat(
  env: Pick<Env, "DB">,
  actor: Actor,
  holder: Holder,
  progress: z.infer<typeof heartbeatRequest>,
  now: number,
): Promise<z.infer<typeof heartbeatResponse>> {
  demand(actor, "train");
  const { policy } = await requireHeld(env.DB, holder, now);
  const expiresAt = now + policy.training.leaseTtlMs;
  const kept = await heartbeat(env.DB, holder, { now, expiresAt, progress: JSON.stringify(progress) });
  if (!kept) throw late();
  return { expiresAt };
}

/**
 * Stores a chunk of reports. A line that was reported already keeps its first report; one whose pair was erased since the round
 * began is passed over.
 * @throws {ApiError} `conflict` for a late holder
 */
export async function storeReports(
  env: Pick<Env, "DB">,
  actor: Actor,
  holder: Holder,
  { reports }: z.infer<typeof reportsRequest>,
  now: number,
): Promise<z.infer<typeof reportsResponse>> {
  demand(actor, "train");
  const { held, stored, unknown, erased } = await insertReports(env.DB, holder, now, reports);
  if (!held) throw late();
  const strangers = new Set([...unknown, ...erased]);
  const known = reports.filter(({ pairId }) => !strangers.has(pairId)).length;
  return { stored, duplicate: known - stored, unknown: [...unknown], erased: erased.length };
}

/**
 * Gives the round up.
 * @throws {ApiError} `conflict` for a late holder
 */
export async function releaseRound(
  env: Pick<Env, "DB">,
  actor: Actor,
  holder: Holder,
  reason: string,
  now: number,
): Promise<void> {
  demand(actor, "train");
  if (!(await release(env.DB, holder, now, reason))) throw late();
}
