import type { PolicyDocument, SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import {
  difficultiesOf,
  type LevelDifficulties,
  levelOf,
  ROUND_DRIFT,
  sigmoid,
  type Trials,
  updateAbility,
  updateDifficulty,
} from "./ability.ts";
import { type RoundWatch, watchRound } from "./alarms.ts";
import type { GapMoments } from "./flip.ts";
import { stairLevelAfter } from "./staircase.ts";
import type { Difficulties, LevelState, RegionState } from "./state.ts";

/** Failures that every region is taken to have per tick, so that a quiet one keeps some mass. */
const FAILURE_PRIOR = 0.3;
/** Weight of the newest observation in the moving average of tokens per accepted pair, which the editor's writer keeps. */
export const COST_WEIGHT = 0.2;
/** The same for the chosen log-ratio. */
const LOG_RATIO_WEIGHT = 0.3;
/** Pairs that the moments of a region's gaps remember. */
const GAP_MEMORY = 200;
/** Share of edit counts kept from round to round. */
const ROUND_DECAY = 0.9;

type TickCounts = Pick<RegionState, "failures" | "exposures" | "failureMass" | "newFailures" | "newExposures">;

/** A region's counts when a tick ends: the new reports are counted in, then everything fades by the policy's decay. */
export function endOfTick(
  region: TickCounts,
  policy: Pick<SchedulerPolicy, "decay">,
): Pick<RegionState, "failures" | "exposures" | "failureMass"> {
  const { decay } = policy;
  return {
    failures: decay * (region.failures + region.newFailures),
    exposures: decay * (region.exposures + region.newExposures),
    failureMass: decay * region.failureMass + (1 - decay) * (region.newFailures + FAILURE_PRIOR),
  };
}

/** What a round measured for one pair: summed log-probabilities in nats, and lengths in tokens. */
export interface PairScore {
  readonly region: string;
  readonly level: Level;
  /** Scored before it was ever trained on. Later scores measure memory, not skill. */
  readonly fresh: boolean;
  readonly chosenBefore: number;
  readonly rejectedBefore: number;
  readonly chosenAfter: number;
  readonly chosenTokens: number;
  readonly rejectedTokens: number;
}

/** What a round may change of a region, and what that depends on. */
export type Measured = Pick<
  RegionState,
  "key" | "errorType" | "abilityMean" | "abilityVar" | "chosenLogRatio" | "scored" | "levels" | "stairLevel" | "offered"
> &
  GapMoments & { readonly roundWatch: RoundWatch };
export type RegionAfterRound = Omit<Measured, "errorType" | "offered">;

/** True if the model, before the round, held the chosen answer for likelier per token than the rejected one. */
export function prefersChosen({ chosenBefore, chosenTokens, rejectedBefore, rejectedTokens }: PairScore): boolean {
  return chosenBefore / Math.max(1, chosenTokens) - rejectedBefore / Math.max(1, rejectedTokens) > 0;
}

/**
 * Regions and difficulties after a round. Each of the given regions drifts, whether it was measured or not, since training
 * one region moves the others; fresh pairs then set its ability, the moments of its gaps, its step on the staircase and what is
 * watched. Scores of regions that were not given are left out. The order of regions and scores changes nothing.
 * @param drift variance that the round adds to every belief; more when the base model changed
 */
export function afterRound(
  regions: readonly Measured[],
  difficulties: Difficulties,
  scores: readonly PairScore[],
  policy: RoundPolicy,
  drift = ROUND_DRIFT,
): { regions: RegionAfterRound[]; difficulties: Difficulties } {
  const byRegion = Map.groupBy(scores, (score) => score.region);
  const ordered = [...regions].sort((a, b) => (a.key < b.key ? -1 : 1));
  let moved = difficulties;
  const after = ordered.map((region) => {
    const own = byRegion.get(region.key) ?? [];
    const fresh = own.filter((score) => score.fresh);
    const trials = trialsOf(fresh, difficultiesOf(difficulties, region.errorType));
    moved = trials.reduce((now, trial) => withTrial(now, region, trial), moved);
    return {
      ...measuredBy(region, fresh, trials, policy, drift),
      chosenLogRatio: logRatioAfter(region.chosenLogRatio, own),
    };
  });
  return { regions: after, difficulties: moved };
}

type RoundPolicy = Pick<PolicyDocument, "scheduler" | "batch">;

/** Fresh pairs of one level. */
interface LevelTrials extends Trials {
  readonly level: Level;
}

/** By rising level. */
function trialsOf(fresh: readonly PairScore[], difficulties: LevelDifficulties): LevelTrials[] {
  return [...Map.groupBy(fresh, (score) => score.level)]
    .map(([level, pairs]) => ({
      level,
      difficulty: levelOf(difficulties, level),
      tried: pairs.length,
      right: pairs.filter(prefersChosen).length,
    }))
    .sort((a, b) => a.level - b.level);
}

function withTrial(
  difficulties: Difficulties,
  { errorType, abilityMean }: Measured,
  { level, difficulty, tried, right }: LevelTrials,
): Difficulties {
  const expected = tried * sigmoid(abilityMean - difficulty);
  const levels = updateDifficulty(difficultiesOf(difficulties, errorType), level, { expected, right, tried });
  return { ...difficulties, [errorType]: levels };
}

/** The region after its fresh pairs, of which there may be none. */
function measuredBy(
  region: Measured,
  fresh: readonly PairScore[],
  trials: readonly LevelTrials[],
  policy: RoundPolicy,
  drift: number,
): Omit<RegionAfterRound, "chosenLogRatio"> {
  const before = { mean: region.abilityMean, variance: region.abilityVar };
  const after = updateAbility(before, trials, drift);
  const atStair = trials.find((trial) => trial.level === region.stairLevel) ?? { tried: 0, right: 0 };
  return {
    key: region.key,
    abilityMean: after.mean,
    abilityVar: after.variance,
    scored: region.scored + fresh.length,
    levels: region.levels.map(faded) as unknown as RegionState["levels"],
    stairLevel: stairLevelAfter(region.stairLevel, region.offered, atStair, policy.scheduler),
    ...momentsAfter(region, fresh),
    roundWatch:
      trials.length === 0 ? region.roundWatch : watchRound(region.roundWatch, { before, after, trials }, policy),
  };
}

/** Running means of the raw gaps and their squares, over the last `GAP_MEMORY` pairs or so. A square of 0 means that there are none yet. */
function momentsAfter(region: Measured, fresh: readonly PairScore[]): GapMoments {
  const { gapMean, gapSquare } = region;
  if (fresh.length === 0) return { gapMean, gapSquare };
  const gaps = fresh.map((score) => score.chosenBefore - score.rejectedBefore);
  const known = gapSquare === 0 ? 0 : Math.min(region.scored, GAP_MEMORY);
  const mixed = (before: number, values: readonly number[]) => (known * before + sum(values)) / (known + values.length);
  return {
    gapMean: mixed(gapMean, gaps),
    gapSquare: mixed(
      gapSquare,
      gaps.map((gap) => gap ** 2),
    ),
  };
}

/** The moving average of how much likelier, in nats, a round made the chosen answers; the reference is the model before it. */
function logRatioAfter(before: number, scores: readonly PairScore[]): number {
  if (scores.length === 0) return before;
  const mean = sum(scores.map((score) => score.chosenAfter - score.chosenBefore)) / scores.length;
  return (1 - LOG_RATIO_WEIGHT) * before + LOG_RATIO_WEIGHT * mean;
}

/** The sum by rising value: the same bits in whatever order the values come. */
function sum(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b).reduce((total, value) => total + value, 0);
}

function faded({ attempted, refused }: LevelState): LevelState {
  return { attempted: ROUND_DECAY * attempted, refused: ROUND_DECAY * refused };
}
