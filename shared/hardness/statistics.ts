import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { ErrorType, Level } from "../taxonomy/taxonomy.ts";
import {
  difficultiesOf,
  type LevelDifficulties,
  levelOf,
  sigmoid,
  updateAbility,
  updateDifficulty,
} from "./ability.ts";
import type { Difficulties, LevelState, RegionState } from "./state.ts";

/** Failures that every region is taken to have per tick, so that a quiet one keeps some mass. */
const FAILURE_PRIOR = 0.3;
/** Weight of the newest observation in the moving average of tokens per accepted pair, which the editor's writer keeps. */
export const COST_WEIGHT = 0.2;
/** The same for the chosen log-ratio. */
const LOG_RATIO_WEIGHT = 0.3;
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

export type Measured = Pick<
  RegionState,
  "key" | "errorType" | "abilityMean" | "abilityVar" | "chosenLogRatio" | "scored" | "levels"
>;
export type RegionAfterRound = Pick<
  RegionState,
  "key" | "abilityMean" | "abilityVar" | "chosenLogRatio" | "scored" | "levels"
>;

/** True if the model, before the round, held the chosen answer for likelier per token than the rejected one. */
export function prefersChosen({ chosenBefore, chosenTokens, rejectedBefore, rejectedTokens }: PairScore): boolean {
  return chosenBefore / Math.max(1, chosenTokens) - rejectedBefore / Math.max(1, rejectedTokens) > 0;
}

/**
 * Regions and difficulties after a round. Each of the given regions drifts, whether it was measured or not, since training
 * one region moves the others; fresh pairs then set its ability. Scores of regions that were not given are left out.
 */
export function afterRound(
  regions: readonly Measured[],
  difficulties: Difficulties,
  scores: readonly PairScore[],
): { regions: RegionAfterRound[]; difficulties: Difficulties } {
  const byRegion = Map.groupBy(scores, (score) => score.region);
  const moved: Partial<Record<ErrorType, LevelDifficulties>> = { ...difficulties };
  const ordered = [...regions].sort((a, b) => (a.key < b.key ? -1 : 1));
  const after = ordered.map((region) => {
    const own = byRegion.get(region.key) ?? [];
    const levels = difficultiesOf(difficulties, region.errorType);
    const trials = [
      ...Map.groupBy(
        own.filter((score) => score.fresh),
        (score) => score.level,
      ),
    ].map(([level, pairs]) => ({
      level,
      difficulty: levelOf(levels, level),
      tried: pairs.length,
      right: pairs.filter(prefersChosen).length,
    }));
    trials.sort((a, b) => a.level - b.level);
    for (const { level, difficulty, tried, right } of trials) {
      const expected = tried * sigmoid(region.abilityMean - difficulty);
      moved[region.errorType] = updateDifficulty(difficultiesOf(moved, region.errorType), level, {
        expected,
        right,
        tried,
      });
    }
    const ability = updateAbility({ mean: region.abilityMean, variance: region.abilityVar }, trials);
    return {
      key: region.key,
      abilityMean: ability.mean,
      abilityVar: ability.variance,
      chosenLogRatio: logRatioAfter(region.chosenLogRatio, own),
      scored: region.scored + trials.reduce((sum, trial) => sum + trial.tried, 0),
      levels: region.levels.map(faded) as unknown as RegionState["levels"],
    };
  });
  return { regions: after, difficulties: moved };
}

/** The moving average of how much likelier, in nats, a round made the chosen answers; the reference is the model before it. */
function logRatioAfter(before: number, scores: readonly PairScore[]): number {
  if (scores.length === 0) return before;
  const mean = scores.reduce((sum, score) => sum + score.chosenAfter - score.chosenBefore, 0) / scores.length;
  return (1 - LOG_RATIO_WEIGHT) * before + LOG_RATIO_WEIGHT * mean;
}

function faded({ attempted, refused }: LevelState): LevelState {
  return { attempted: ROUND_DECAY * attempted, refused: ROUND_DECAY * refused };
}
