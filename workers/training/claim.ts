import { policyDocument, type TrainingPolicy } from "../../shared/contracts/policy.ts";
import type { ClaimedRound } from "../../shared/contracts/training.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { sha256Hex } from "../http/hash.ts";
import { expireLeases, liveLeaseOf, takeOver } from "../store/leases.ts";
import {
  backlogs,
  type QueueHead,
  type ReadyPair,
  type RegionBacklog,
  readyPairs,
  readySources,
  unfitSources,
} from "../store/pairs.ts";
import { currentPolicy } from "../store/policy.ts";
import { insertRound } from "../store/rounds.ts";
import { type BatchLimits, chooseBatch, regionCap } from "./batch.ts";

/** Tries before a claim gives way to the other trainers that took its pairs each time. */
const CLAIM_ATTEMPTS = 8;
/** Pairs that one round can hold, whatever the policy says: what a Worker can sort in memory. */
const BATCH_PAIRS = 20_000;
/** Ready pairs looked at for each pair of a region's share, so that caps and balance leave a choice. */
const HEAD_FACTOR = 1.5;
const HEAD_FLOOR_PAIRS = 8;
/** How much more is looked at when caps, balance or other trainers' leases left less than this share of a batch. */
const HEAD_GROWTH = 4;
const FULL_SHARE = 0.9;

export type Claim =
  | { readonly round: ClaimedRound }
  /** Nothing was leased. */
  | { readonly round: null; readonly reason: string };

/**
 * Gives the trainer its unfinished round back, or leases it a new one. No pair is ever in two live leases.
 * @throws {ApiError} `forbidden`
 */
export async function claimRound(env: Pick<Env, "DB">, actor: Actor, trainer: string, now: number): Promise<Claim> {
  demand(actor, "train");
  await expireLeases(env.DB, now);
  for (let attempt = 1; attempt <= CLAIM_ATTEMPTS; attempt++) {
    const claim = (await resume(env.DB, trainer, now)) ?? (await claimNew(env.DB, trainer, now));
    if (claim !== "taken") return claim;
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

async function claimNew(db: D1Database, trainer: string, now: number): Promise<Claim | "taken"> {
  const policy = await currentPolicy(db);
  const { training, gate } = policy.document;
  const choice = await choosePairs(db, training);
  const { pairs } = choice;
  if (pairs.length < training.minPairs) return { round: null, reason: tooFew(choice, training.minPairs) };

  const pairIds = pairs.map(({ id }) => id).sort();
  const batchSha256 = sha256Hex(pairIds.join("\n"));
  const ttlMs = training.leaseTtlMs;
  const round = {
    id: crypto.randomUUID(),
    leaseId: crypto.randomUUID(),
    trainer,
    policyVersion: policy.version,
    pairIds,
    batchSha256,
    now,
    expiresAt: now + ttlMs,
  };
  const claimed = await insertRound(db, round);
  if (!claimed) return "taken";
  return {
    round: {
      id: round.id,
      resumed: false,
      lease: { id: round.leaseId, fence: 1, expiresAt: round.expiresAt, ttlMs },
      reference: claimed.reference,
      batch: { pairs: pairIds.length, sha256: batchSha256 },
      policy: { version: policy.version, training, gate },
    },
  };
}

interface Choice {
  readonly pairs: readonly ReadyPair[];
  /** All that are ready, or leased and not trained on yet. */
  readonly waiting: number;
}

/** The best batch there is now. Looks at the heads of the regions' queues, and further only if these give too little. */
async function choosePairs(db: D1Database, training: TrainingPolicy): Promise<Choice> {
  const limits: BatchLimits = {
    maxPairs: Math.min(training.maxPairs, BATCH_PAIRS),
    regionCapShare: training.regionCapShare,
  };
  const regions = await backlogs(db);
  const waiting = sum(regions);
  if (waiting < training.minPairs) return { pairs: [], waiting };
  for (let factor = HEAD_FACTOR; ; factor *= HEAD_GROWTH) {
    const heads = regions.map(({ region, backlog }) => {
      const share = (limits.maxPairs * backlog) / Math.max(waiting, limits.maxPairs);
      const most = Math.min(backlog, regionCap(limits));
      return { region, limit: Math.min(Math.ceil(share * factor) + HEAD_FLOOR_PAIRS, most), most };
    });
    const pairs = await chooseFrom(db, heads, regions, limits, training.maxTrainings);
    const full = pairs.length >= FULL_SHARE * limits.maxPairs;
    if (full || heads.every(({ limit, most }) => limit === most)) return { pairs, waiting };
  }
}

async function chooseFrom(
  db: D1Database,
  heads: readonly QueueHead[],
  regions: readonly RegionBacklog[],
  limits: BatchLimits,
  maxTrainings: number,
): Promise<ReadyPair[]> {
  const sources = await readySources(db, heads, maxTrainings);
  let ready = await readyPairs(db, sources, maxTrainings);
  for (;;) {
    const pairs = chooseBatch(ready, regions, limits);
    const unfit = new Set(await unfitSources(db, [...new Set(pairs.map(({ sourceId }) => sourceId))]));
    if (unfit.size === 0) return pairs;
    ready = ready.filter(({ sourceId }) => !unfit.has(sourceId));
  }
}

function sum(regions: readonly RegionBacklog[]): number {
  return regions.reduce((total, { backlog }) => total + backlog, 0);
}

function tooFew({ pairs, waiting }: Choice, minPairs: number): string {
  if (waiting < minPairs) return `A round needs ${minPairs} pairs, ${waiting} are waiting.`;
  const limits = "other rounds, the caps and the balance of yes and no";
  return `A round needs ${minPairs} pairs; of ${waiting} that are waiting, ${limits} leave ${pairs.length}.`;
}
