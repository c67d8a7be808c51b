import { policyDocument } from "../../shared/contracts/policy.ts";
import { ApiError } from "../http/errors.ts";
import type { Holder } from "../store/leases.ts";
import { heldRound } from "../store/rounds.ts";

/** What a late holder is told. */
export function late(): ApiError {
  return new ApiError("conflict", "This lease is over or has another holder. Nothing was changed; claim a round anew.");
}

/**
 * The round's policy, age and predictions, for its holder.
 * @throws {ApiError} `conflict` for a late holder
 */
export async function requireHeld(db: D1Database, holder: Holder, now: number) {
  const round = await heldRound(db, holder, now);
  if (!round) throw late();
  return {
    createdAt: round.createdAt,
    policy: policyDocument.parse(JSON.parse(round.policy)),
    predicted: JSON.parse(round.predicted) as Readonly<Record<string, readonly number[]>>,
  };
}
