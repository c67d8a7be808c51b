import type { z } from "zod";
import { policyDocument } from "../../shared/contracts/policy.ts";
import type { completeResponse, GateResult } from "../../shared/contracts/training.ts";
import { BASE_CHANGE_DRIFT, ROUND_DRIFT } from "../../shared/hardness/ability.ts";
import { canonicalJson } from "../../shared/hardness/canonical.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { logEvent } from "../http/log.ts";
import { findAdapter, type Pointers, readPointers } from "../store/adapters.ts";
import type { AuditEntry } from "../store/audit.ts";
import { insertCompletion, type RoundToComplete, roundToComplete } from "../store/completions.ts";
import type { Holder } from "../store/leases.ts";
import { roundReports } from "../store/reports.ts";
import { readStatistics } from "../store/statistics.ts";
import { fatesOf } from "./fates.ts";
import { late } from "./holder.ts";
import { learn } from "./learn.ts";
import { type Completion, problemsOfCompletion, turnedDown } from "./promotion.ts";
import { checkSentinels } from "./sentinels.ts";

/** Tries before a completion gives way to others that changed the champion or the statistics each time. */
const COMPLETE_ATTEMPTS = 5;

type Completed = z.infer<typeof completeResponse>;

/**
 * Ends a round: stores its verdict, sends its pairs where they belong, learns from its reports, and makes its adapter the
 * champion if the gate said so and the sentinels bear it out. The same request again gets the same answer and changes nothing.
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

/** The verdict that was stored; null when the reports, the champion or the statistics moved between reading and writing. */
async function tryComplete(
  db: D1Database,
  round: RoundToComplete,
  ending: Ending,
): Promise<Completed["verdict"] | null> {
  const { holder, request, completionSha256, now } = ending;
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

  const [pointers, reports, statistics] = await Promise.all([
    readPointers(db),
    roundReports(db, holder.roundId),
    readStatistics(db),
  ]);
  const check = checkSentinels(reports.sentinels, policy.alarms);
  const gate = gateAfter(request.gate, [
    ...(pointers.champion === round.reference ? [] : [championMoved(pointers.champion)]),
    ...(check.problem === null ? [] : [check.problem]),
  ]);
  const { verdict } = gate;
  // Scores of a trainer whose scoring is broken teach nothing.
  const scored = check.broken ? [] : reports.scored;
  const { lesson, outlook } = learn(statistics, scored, policy, driftOf(round, request));
  const done = await insertCompletion(db, holder, now, {
    verdict,
    adapter,
    manifest: adapter === null ? null : JSON.stringify(request.manifest),
    gate: JSON.stringify(gate),
    metrics: JSON.stringify({ ...request.metrics, ...check.metrics }),
    completionSha256,
    read: { completed: round.completed, told: reports.told },
    lesson,
    fates: fatesOf(scored, { verdict, reference: round.reference, adapter }, outlook, policy),
    pointers,
    audits: [
      ...(verdict === "promoted" ? [promotionEntry(ending, pointers)] : []),
      ...(check.broken ? [sentinelEntry(ending, check.metrics)] : []),
    ],
  });
  if (done && check.broken) logEvent("sentinels-failed", { round: holder.roundId, ...check.metrics });
  return done ? verdict : null;
}

/** A change of the base model makes every belief less sure. A round without an adapter does not tell which one it trained. */
function driftOf({ lastBase }: RoundToComplete, { manifest }: Completion): number {
  const isAnother = lastBase !== null && manifest !== null && manifest.base.sha256 !== lastBase;
  return isAnother ? BASE_CHANGE_DRIFT : ROUND_DRIFT;
}

/** What the server says of a candidate that the gate would promote. */
function gateAfter(gate: GateResult, reasons: readonly string[]): GateResult {
  if (gate.verdict !== "promoted") return gate;
  return reasons.reduceRight(turnedDown, gate);
}

function championMoved(champion: string | null): string {
  return `the champion became ${champion ?? "the base model"} while this round trained on another reference.`;
}

function promotionEntry({ actor, holder, request, now }: Ending, { champion }: Pointers): AuditEntry {
  const details = { round: holder.roundId, previous: champion };
  return { actor: actorName(actor), action: "adapter.promoted", subject: request.adapter ?? "base", details, at: now };
}

function sentinelEntry({ actor, holder, now }: Ending, details: AuditEntry["details"]): AuditEntry {
  return { actor: actorName(actor), action: "round.sentinels-failed", subject: holder.roundId, details, at: now };
}
