import type { PairState } from "../contracts/operator.ts";
import type { PairsPolicy, PolicyDocument } from "../contracts/policy.ts";
import { flipPosterior, type GapMoments } from "./flip.ts";

/** What scorings change of a pair. A leased pair is given in the state it came from. */
export interface PairLife {
  readonly state: PairState;
  /** Promoted rounds it was trained in, the one that ends now among them. */
  readonly trainings: number;
  /** Scorings in a row, under different models, above the policy's saturated gap. */
  readonly highStreak: number;
  /** The same below its quarantine gap. */
  readonly lowStreak: number;
  /** Of the newest scoring, nats. */
  readonly gap: number | null;
  /** What that was made under: an adapter, or `base`. */
  readonly gapModel: string | null;
  /** It was doubted before and found valid. It is not doubted again. */
  readonly cleared: boolean;
}

/** The gap log P(chosen) - log P(rejected), summed over tokens, nats, under one model. */
export interface Scoring {
  readonly model: string;
  readonly gap: number;
}

/** What is known of the pair's region: the predicted accuracy at the pair's level, and the gaps of its pairs when they were fresh. */
export interface PairRegion extends GapMoments {
  readonly predicted: number;
}

export interface PairMove {
  readonly state: PairState;
  /** A few words, with the numbers that decided. */
  readonly reason: string;
}

/** A pair after its scorings, in the state where it ends; without a move, the one it was given in. */
export interface Judgement {
  readonly pair: PairLife;
  readonly move: PairMove | null;
  /** Of a pair that moves to quarantine: how probably its answers are swapped, and what becomes of it if nobody can look at it now. */
  readonly doubt: { readonly posterior: number; readonly otherwise: Judgement } | null;
}

type LifePolicy = Pick<PolicyDocument, "pairs" | "training">;

/** States that scorings can end. In any other a pair waits for something else: a check, a person, or nothing. */
const OPEN: ReadonlySet<PairState> = new Set(["ready", "trained", "saturated"]);

/**
 * What a round's scorings of one pair, oldest first, make of it.
 *
 *     ready, trained -> saturated    it was trained on, and its last scorings in a row are all above the saturated gap
 *     saturated -> trained           a scoring is not: it was forgotten
 *     any of these -> quarantined    its last scorings in a row are all below the quarantine gap though its region is mostly
 *                                    right, and its answers are more probably swapped than the policy puts up with
 *     ready, trained -> parked       trained on as often as it may be, still wrong, and its region is hardly ever right
 *     ready -> trained               trained on, and nothing of the above
 *
 * A second scoring under the same model says nothing new and is left out. A low gap alone never moves a pair: it needs its
 * region, the posterior, and then whoever checks it again.
 */
export function afterScorings(
  pair: PairLife,
  scorings: readonly Scoring[],
  region: PairRegion,
  policy: LifePolicy,
): Judgement {
  const scored = scorings.reduce((now, scoring) => counted(now, scoring, policy.pairs), pair);
  const { gap } = scored;
  if (gap === null || !OPEN.has(pair.state)) return { pair: scored, move: null, doubt: null };
  const move = undoubtedMove(scored, gap, region, policy);
  const otherwise: Judgement = { pair: { ...scored, state: move?.state ?? scored.state }, move, doubt: null };
  const { predicted } = region;
  const posterior = flipPosterior(gap, region, policy.pairs.flipPrior);
  const { scoringsInRow, quarantineAbove, flipPosterior: suspicious } = policy.pairs;
  if (scored.cleared || scored.lowStreak < scoringsInRow || predicted <= quarantineAbove || posterior <= suspicious)
    return otherwise;
  const reason = `gap ${nats(gap)}, low ${scored.lowStreak} times in a row, though the region is right ${share(predicted)}: swapped with probability ${posterior.toFixed(2)}`;
  return {
    pair: { ...scored, state: "quarantined" },
    move: { state: "quarantined", reason },
    doubt: { posterior, otherwise },
  };
}

/**
 * Of the judgements of one round, those that doubt stand for the most probable flips, as many as the policy lets be checked
 * again (a share of the pairs scored, rounded up); the other pairs go where they would have gone undoubted, and are candidates
 * again when they are scored next. `id` breaks ties; the order given is kept.
 */
export function boundRechecks<T extends Judgement & { readonly id: string }>(
  judged: readonly T[],
  policy: Pick<PairsPolicy, "recheckShareMax">,
): T[] {
  const doubted = judged
    .flatMap(({ id, doubt }) => (doubt ? [{ id, posterior: doubt.posterior }] : []))
    .sort((a, b) => b.posterior - a.posterior || (a.id < b.id ? -1 : 1));
  const unchecked = new Set(doubted.slice(Math.ceil(policy.recheckShareMax * judged.length)).map(({ id }) => id));
  return judged.map((one) => (one.doubt && unchecked.has(one.id) ? { ...one, ...one.doubt.otherwise } : one));
}

/** The pair with one more scoring, unless it is one under the model of the last. */
function counted(pair: PairLife, { model, gap }: Scoring, { saturatedGap, quarantineGap }: PairsPolicy): PairLife {
  if (model === pair.gapModel) return pair;
  return {
    ...pair,
    gap,
    gapModel: model,
    highStreak: gap > saturatedGap ? pair.highStreak + 1 : 0,
    lowStreak: gap < quarantineGap ? pair.lowStreak + 1 : 0,
  };
}

/** Where a pair goes that nobody doubts. */
function undoubtedMove(pair: PairLife, gap: number, { predicted }: PairRegion, policy: LifePolicy): PairMove | null {
  const { saturatedGap, scoringsInRow, parkedBelow } = policy.pairs;
  if (pair.state === "saturated") {
    if (gap > saturatedGap) return null;
    return { state: "trained", reason: `forgotten: gap ${nats(gap)}, at most ${nats(saturatedGap)}` };
  }
  if (pair.trainings === 0) return null;
  if (pair.highStreak >= scoringsInRow) {
    const reason = `mastered: gap ${nats(gap)}, above ${nats(saturatedGap)} ${pair.highStreak} times in a row`;
    return { state: "saturated", reason };
  }
  if (pair.trainings >= policy.training.maxTrainings && gap < 0 && predicted < parkedBelow) {
    const reason = `gap ${nats(gap)} after ${pair.trainings} trainings, and the region is right ${share(predicted)}`;
    return { state: "parked", reason };
  }
  return pair.state === "trained"
    ? null
    : { state: "trained", reason: `trained ${pair.trainings} times, gap ${nats(gap)}` };
}

function nats(gap: number): string {
  return `${gap.toFixed(2)} nats`;
}

function share(accuracy: number): string {
  return `${Math.round(100 * accuracy)} % of the time`;
}
