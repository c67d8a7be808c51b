import type { z } from "zod";
import { policyDocument } from "../../shared/contracts/policy.ts";
import type { completeResponse } from "../../shared/contracts/training.ts";
import { canonicalJson } from "../../shared/hardness/canonical.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { findAdapter, type Pointers, readPointers } from "../store/adapters.ts";
import { insertCompletion, type RoundToComplete, roundToComplete } from "../store/completions.ts";
import type { Holder } from "../store/leases.ts";
import { late } from "./holder.ts";
import { learn } from "./learn.ts";
import { type Completion, problemsOfCompletion, turnedDown } from "./promotion.ts";

/** Tries before a completion gives way to others that changed the champion or the statistics each time. */
const COMPLETE_ATTEMPTS = 5;

type Completed = z.infer<typeof completeResponse>;

/**
 * Ends a round: stores its verdict, sends its pairs where they belong, learns from its reports, and makes its adapter the
 * champion if the gate said so. The same request again gets the same answer and changes nothing.
 * @throws {ApiError} `conflict` for a late holder or another request after the round was completed; `unprocessable` when the
 *   numbers do not allow the verdict
 */
export async function completeRound(
  env: Pick<Env, "DB">,
  actor: Actor,
  holder: Holder,
  request: Completion,
  now: number,
): Promise<Completed> {
  demand(actor, "train");
  const ending: Ending = { actor, holder, request, completionSha256: sha256Hex(canonicalJson(request)), now };
  for (let attempt = 1; attempt <= COMPLETE_ATTEMPTS; attempt++) {
    const round = await roundToComplete(env.DB, holder, now);
    if (!round) throw late();
    const verdict = verdictBefore(round, ending) ?? (round.held ? await tryComplete(env.DB, round, ending) : null);
    if (verdict) return { verdict, champion: (await readPointers(env.DB)).champion };
    if (!round.held) throw late();
  }
  throw new ApiError("overloaded", "Other rounds came first each time. The same request may be sent again.");
}

interface Ending {
  readonly actor: Actor;
  readonly holder: Holder;
  readonly request: Completion;
  readonly completionSha256: string;
  /** ms */
  readonly now: number;
}

/** What this very request was answered before, if it was. */
function verdictBefore(round: RoundToComplete, { completionSha256 }: Ending): Completed["verdict"] | null {
  return round.ours && round.completionSha256 === completionSha256 ? round.verdict : null;
}

/** The verdict that was stored; null when the champion or the statistics moved between reading and writing. */
async function tryComplete(
  db: D1Database,
  round: RoundToComplete,
  { actor, holder, request, completionSha256, now }: Ending,
): Promise<Completed["verdict"] | null> {
  const policy = policyDocument.parse(JSON.parse(round.policy));
  const { adapter } = request;
  const problems = problemsOfCompletion(request, {
    leaseId: holder.leaseId,
    reference: round.reference,
    batchSha256: round.batchSha256,
    gate: policy.gate,
    adapter: adapter === null ? null : await findAdapter(db, adapter),
  });
  if (problems.length > 0) throw new ApiError("unprocessable", "The round cannot end like this.", problems);

  const pointers = await readPointers(db);
  const moved = request.gate.verdict === "promoted" && pointers.champion !== round.reference;
  const gate = moved ? turnedDown(request.gate, pointers.champion) : request.gate;
  const { verdict } = gate;
  const done = await insertCompletion(db, holder, now, {
    verdict,
    adapter,
    manifest: adapter === null ? null : JSON.stringify(request.manifest),
    gate: JSON.stringify(gate),
    metrics: JSON.stringify(request.metrics),
    completionSha256,
    lesson: await learn(db, holder.roundId),
    pointers,
    audit: verdict === "promoted" ? promotionEntry(actor, holder, adapter, pointers, now) : null,
  });
  return done ? verdict : null;
}

function promotionEntry(actor: Actor, holder: Holder, adapter: string | null, pointers: Pointers, at: number) {
  const details = { round: holder.roundId, previous: pointers.champion };
  return { actor: actorName(actor), action: "adapter.promoted", subject: adapter ?? "base", details, at };
}
