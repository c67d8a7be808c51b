import type { z } from "zod";
import { policyDocument } from "../../shared/contracts/policy.ts";
import type { ClaimedRound, claimRequest } from "../../shared/contracts/training.ts";
import { roundDue } from "../../shared/hardness/trigger.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { sha256Hex } from "../http/hash.ts";
import { expireLeases, liveLeaseOf, takeOver } from "../store/leases.ts";
import { currentPolicy } from "../store/policy.ts";
import { insertRound, roundsNow } from "../store/rounds.ts";
import { oldestSentinels, type Sentinel, sentinelLines } from "../store/sentinels.ts";
import { type Choice, chooseBatch, readSupply, type Supply } from "./batch.ts";

/** Tries before a claim gives way to the other trainers that took its pairs each time. */
const CLAIM_ATTEMPTS = 12;
/** Before the next try a claim pauses, at random and longer each time, or all those that came at once would meet again. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;
/** Digits of a predicted accuracy. */
const PREDICTED_DIGITS = 4;
type ClaimRequest = z.output<typeof claimRequest>;

export type Claim =
  | { readonly round: ClaimedRound }
  /** Nothing was leased. */
  | { readonly round: null; readonly reason: string };

/**
 * Gives the trainer its unfinished round back, or leases it a new one if it is time for one. No pair is ever in two live leases.
 * @throws {ApiError} `forbidden`
 */
export async function claimRound(
  env: Pick<Env, "DB">,
  actor: Actor,
  request: ClaimRequest,
  now: number,
): Promise<Claim> {
  demand(actor, "train");
  await expireLeases(env.DB, now);
  for (let attempt = 1; attempt <= CLAIM_ATTEMPTS; attempt++) {
    const claim = (await resume(env.DB, request.trainer, now)) ?? (await claimNew(env.DB, request, now));
    if (claim !== "taken") return claim;
    const pauseMs = Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
    await new Promise((resume) => setTimeout(resume, pauseMs));
  }
  return { round: null, reason: "Other trainers took the pairs while this one was choosing. Claim again." };
}

/** The trainer's live round, under a new fence: whoever held it before is late from now on. */
async function resume(db: D1Database, trainer: string, now: number): Promise<Claim | "taken" | null> {
  const lease = await liveLeaseOf(db, trainer, now);
  if (!lease) return null;
  const policy = policyDocument.parse(JSON.parse(lease.policy));
  const ttlMs = policy.training.leaseTtlMs;
  const holder = { roundId: lease.roundId, leaseId: lease.id, fence: lease.fence };
  if (!(await takeOver(db, holder, now, now + ttlMs))) return "taken";
  return {
    round: {
      id: lease.roundId,
      resumed: true,
      lease: { id: lease.id, fence: lease.fence + 1, expiresAt: now + ttlMs, ttlMs },
      reference: lease.reference,
      batch: { pairs: lease.pairs, sha256: lease.batchSha256 },
      policy: { version: lease.policyVersion, training: policy.training, gate: policy.gate },
    },
  };
}

async function claimNew(db: D1Database, request: ClaimRequest, now: number): Promise<Claim | "taken"> {
  const policy = await currentPolicy(db);
  const { training, gate } = policy.document;
  const [supply, { lastRoundAt, leased }] = await Promise.all([readSupply(db, policy.document), roundsNow(db, now)]);
  const ready = Math.max(0, supply.fresh - leased);
  const chance = { ready, lastRoundAt, now, fixes: supply.fixes, demand: request.demand };
  const due = roundDue(chance, policy.document);
  if (!due.start) return { round: null, reason: due.reason };
  const least = request.demand ? 1 : training.minPairs;
  const choice = await chooseBatch(db, supply.stocks, policy.document, least);
  if (choice.train.pairs.length < least) return { round: null, reason: tooFew(choice, least, ready) };

  const sentinels = await oldestSentinels(db, choice.sentinels);
  const batch = batchOf(choice, sentinels, supply);
  const ttlMs = training.leaseTtlMs;
  const round = { id: crypto.randomUUID(), leaseId: crypto.randomUUID(), expiresAt: now + ttlMs };
  const claimed = await insertRound(db, {
    ...round,
    ...batch,
    trainer: request.trainer,
    policyVersion: policy.version,
    now,
  });
  if (!claimed) return "taken";
  return {
    round: {
      id: round.id,
      resumed: false,
      lease: { id: round.leaseId, fence: 1, expiresAt: round.expiresAt, ttlMs },
      reference: claimed.reference,
      batch: { pairs: batch.lines, sha256: batch.batchSha256 },
      policy: { version: policy.version, training, gate },
    },
  };
}

/** The batch as it is stored. Its digest is that of the sorted ids of its lines, trained on or scored. */
function batchOf(choice: Choice, sentinels: readonly Sentinel[], { predicted }: Supply) {
  const train = choice.train.pairs;
  const { score, passed } = choice;
  const ids = [...train, ...score].map(({ id }) => id);
  const lines = [...ids, ...sentinels.flatMap(({ id }) => sentinelLines(id))].sort();
  const regions = new Set([...train, ...score, ...sentinels].map(({ region }) => region));
  return {
    train,
    score,
    passed,
    sentinels: sentinels.map(({ id }) => id),
    lines: lines.length,
    batchSha256: sha256Hex(lines.join("\n")),
    predicted: JSON.stringify(
      Object.fromEntries([...regions].sort().map((key) => [key, predicted.get(key)?.map(rounded)])),
    ),
  };
}

/** To what matters of a prediction: one value holds those of as many regions as a batch has pairs. */
function rounded(predicted: number): number {
  return Number(predicted.toFixed(PREDICTED_DIGITS));
}

/** What kept a batch too small, with the numbers. */
function tooFew({ train: { pairs, leftOut, blindness } }: Choice, least: number, ready: number): string {
  const kept = `A round needs ${least} pairs; of ${ready} that are ready, quotas and caps leave ${pairs.length}`;
  const reasons = [
    [
      leftOut.telling,
      `give their answer away without the image (what stays is told apart in ${percent(blindness.accuracy)})`,
    ],
    [leftOut.duplicate, "say the same as another"],
    [leftOut.capped, "show an image or begin like a question that the batch has often enough"],
    [leftOut.unbalanced, "have too few answers of the other kind, yes or no, beside them"],
  ] as const;
  const said = reasons.flatMap(([count, why]) => (count > 0 ? [`${count} ${why}`] : []));
  return said.length === 0 ? `${kept}.` : `${kept}: ${said.join("; ")}.`;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} % of pairs`;
}
