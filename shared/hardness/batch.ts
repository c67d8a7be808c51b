import type { BatchPolicy, TrainingPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import { Allotment } from "./allotment.ts";
import { apportion } from "./proportion.ts";

/** Pairs that one batch can hold, whatever the policy says: what a Worker can sort in memory. */
export const BATCH_PAIRS = 20_000;

/** What a right answer says: yes, no, or neither. */
export type Polarity = "yes" | "no" | null;

/** What can be taken of one region. */
export interface Stock {
  readonly region: string;
  readonly task: string;
  /** What its next pair is worth, 0 or more: see `valuesOf`. */
  readonly value: number;
  readonly levels: readonly LevelStock[];
}

/** What can be taken of one level. */
export interface LevelStock {
  readonly level: Level;
  /** Predicted accuracy of the deployed model on such pairs. */
  readonly predicted: number;
  /** Pairs that were never trained on, by what the right answer says. */
  readonly open: number;
  readonly yes: number;
  readonly no: number;
  /** Pairs that were trained on and are not mastered, and mastered ones. */
  readonly again: number;
  readonly saturated: number;
}

/** Pairs of one level that were never trained on. */
export interface FreshQuota {
  readonly region: string;
  readonly level: Level;
  readonly polarity: Polarity;
  readonly pairs: number;
}

/** Pairs of one level that were trained on and are not mastered. */
export interface AgainQuota {
  readonly region: string;
  readonly level: Level;
  readonly pairs: number;
}

/** Mastered pairs of one region: to repeat, and to score only. */
export interface MasteredQuota {
  readonly region: string;
  readonly train: number;
  readonly score: number;
}

/** What a batch is to be made of. */
export interface Quotas {
  readonly fresh: readonly FreshQuota[];
  readonly again: readonly AgainQuota[];
  readonly mastered: readonly MasteredQuota[];
  /** Known pairs to score, each as it is and with its answers swapped. */
  readonly sentinels: number;
}

export interface BatchLimits {
  readonly training: Pick<TrainingPolicy, "maxPairs" | "regionCapShare">;
  readonly batch: Pick<
    BatchPolicy,
    "bandLow" | "bandHigh" | "outsideShare" | "againShare" | "replayShare" | "rescoreShare" | "sentinelShare"
  >;
}

/**
 * The next batch, from counts alone. Every region has a quota in proportion to what its next pair is worth, at least one pair
 * and none above its cap; inside it, levels in the band of predicted accuracy come first, the nearest to 0.5 before the others,
 * and at most `outsideShare` of the batch is from outside the band. In every task as many right answers say yes as say no.
 * Pairs that were trained on and not mastered, and mastered ones of regions without new ones, come on top, each at most their
 * share. A pure function, whatever the order of the regions.
 */
export function quotasOf(stocks: readonly Stock[], limits: BatchLimits): Quotas {
  const { againShare, replayShare, rescoreShare, sentinelShare } = limits.batch;
  const regions = [...stocks].sort((a, b) => (a.region < b.region ? -1 : 1));
  const supply = supplyOf(regions);
  const most = Math.min(limits.training.maxPairs, BATCH_PAIRS);
  const kept = Math.min(supply.again, part(againShare, most)) + Math.min(supply.saturated, part(replayShare, most));
  const size = Math.min(supply.fresh, Math.max(1, most - kept));

  const allotment = new Allotment(regions, size, limits);
  allotment.give("fresh", size);
  const fresh = allotment.given;
  allotment.give("again", Math.min(part(againShare, fresh), most - fresh));
  const replayed = replay(regions, allotment, Math.min(part(replayShare, fresh), most - allotment.given));
  const trained = allotment.given + sum(replayed.values());
  const rescored = fresh === 0 ? new Map<string, number>() : rescore(regions, replayed, rescoreShare, trained);
  return {
    ...allotment.quotas(),
    mastered: regions.flatMap(({ region }) => {
      const [train, score] = [replayed.get(region) ?? 0, rescored.get(region) ?? 0];
      return train + score > 0 ? [{ region, train, score }] : [];
    }),
    sentinels: Math.ceil((sentinelShare * trained) / 2),
  };
}

/** Spreads mastered pairs to repeat over the regions that have no new ones in the batch, the same for each. */
function replay(regions: readonly Stock[], allotment: Allotment, room: number): Map<string, number> {
  const touched = allotment.touched();
  const untouched = regions.filter(({ region }) => !touched.has(region));
  const items = untouched.map((stock) => ({ key: stock.region, weight: 1, most: saturatedOf(stock) }));
  return apportion(items, room);
}

/** Spreads mastered pairs to score again: the same part of every region's, at most as many as are trained on. */
function rescore(
  regions: readonly Stock[],
  replayed: ReadonlyMap<string, number>,
  share: number,
  trained: number,
): Map<string, number> {
  const items = regions.map((stock) => {
    const all = saturatedOf(stock);
    return { key: stock.region, weight: all, most: all - (replayed.get(stock.region) ?? 0) };
  });
  return apportion(items, Math.min(Math.ceil(share * sum(items.map(({ weight }) => weight))), trained));
}

function supplyOf(regions: readonly Stock[]) {
  const levels = regions.flatMap((stock) => stock.levels);
  return {
    fresh: sum(levels.map(({ open, yes, no }) => open + yes + no)),
    again: sum(levels.map(({ again }) => again)),
    saturated: sum(levels.map(({ saturated }) => saturated)),
  };
}

function saturatedOf({ levels }: Stock): number {
  return sum(levels.map(({ saturated }) => saturated));
}

/** The whole number of a share that is never above it. */
function part(share: number, of: number): number {
  return Math.floor(share * of);
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
