import type { Context } from "hono";
import { label } from "../../shared/contracts/common.ts";
import { policyDocument } from "../../shared/contracts/policy.ts";
import { FENCE_HEADER, LEASE_HEADER } from "../../shared/contracts/training.ts";
import type { AppEnv } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { readParam } from "../http/params.ts";
import type { Holder } from "../store/leases.ts";
import { heldRound } from "../store/rounds.ts";

/**
 * Who the request says holds the round of its path. Whether that is still so is decided where the request writes.
 * @throws {ApiError} `bad_request` when a header is missing or malformed
 */
export function holderOf(c: Context<AppEnv>): Holder {
  const leaseId = c.req.header(LEASE_HEADER);
  const fence = c.req.header(FENCE_HEADER);
  const problems = [];
  if (!leaseId) problems.push({ path: LEASE_HEADER, message: "must be the id of the round's lease" });
  if (!fence || !/^[1-9]\d{0,9}$/.test(fence))
    problems.push({ path: FENCE_HEADER, message: "must be the lease's fence" });
  if (!leaseId || problems.length > 0)
    throw new ApiError("bad_request", "A call on a claimed round names its lease.", problems);
  return { roundId: readParam(c, "id", label), leaseId, fence: Number(fence) };
}

/** What a late holder is told. */
export function late(): ApiError {
  return new ApiError("conflict", "This lease is over or has another holder. Nothing was changed; claim a round anew.");
}

/**
 * The round's policy and age, for its holder.
 * @throws {ApiError} `conflict` for a late holder
 */
export async function requireHeld(db: D1Database, holder: Holder, now: number) {
  const round = await heldRound(db, holder, now);
  if (!round) throw late();
  return { createdAt: round.createdAt, policy: policyDocument.parse(JSON.parse(round.policy)) };
}
