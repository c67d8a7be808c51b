import { LEVELS, type Level } from "../taxonomy/taxonomy.ts";
import { type Difficulties, type RegionState, START_DIFFICULTY } from "./state.ts";

/** What is believed of the deployed model's skill in one region: normal, in logits. */
export interface Ability {
  readonly mean: number;
  readonly variance: number;
}

/** `right` of `tried` fresh pairs at one difficulty (logits) were judged rightly by the model. */
export interface Trials {
  readonly difficulty: number;
  readonly tried: number;
  readonly right: number;
}

/** Variance that a round of training adds to every belief. */
export const ROUND_DRIFT = 0.06;
/** Variance that a change of the base model adds. */
export const BASE_CHANGE_DRIFT = 0.3;
export const MAX_VARIANCE = 2;
/** Abilities beyond this are all the same to a plan. */
export const MAX_ABILITY = 6;
/** Farthest that one Newton step goes, in logits: far from its maximum the likelihood is nearly flat, and a step would overshoot. */
const MAX_STEP = 2;
const NEWTON_STEPS = 2;
const DIFFICULTY_RATE = 0.02;
const MAX_DIFFICULTY = 4;
/** Prior variance of what a region has for itself beyond its task and its error type. */
const RESIDUAL_VARIANCE = 1;

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export function clamp(x: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, x));
}

/**
 * The belief after a round: it first widens by `drift`, then two Newton steps climb the posterior of a one-parameter
 * logistic model, P(right) = sigmoid(ability - difficulty) (Laplace's approximation gives the variance).
 */
export function updateAbility(prior: Ability, trials: readonly Trials[], drift = ROUND_DRIFT): Ability {
  const variance = Math.min(prior.variance + drift, MAX_VARIANCE);
  let mean = prior.mean;
  let precision = 1 / variance;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    let slope = (prior.mean - mean) / variance;
    precision = 1 / variance;
    for (const { difficulty, tried, right } of trials) {
      const p = sigmoid(mean - difficulty);
      slope += right - tried * p;
      precision += tried * p * (1 - p);
    }
    mean = clamp(mean + clamp(slope / precision, -MAX_STEP, MAX_STEP), -MAX_ABILITY, MAX_ABILITY);
  }
  return { mean, variance: 1 / precision };
}

export type LevelDifficulties = readonly [number, number, number, number];

export function difficultiesOf(difficulties: Difficulties, errorType: string): LevelDifficulties {
  return difficulties[errorType] ?? START_DIFFICULTY;
}

/**
 * A level that was harder than expected becomes more difficult; then all four are shifted so that their mean stays, since
 * only the distance of ability and difficulty can be seen. `expected` and `right` are counts out of `tried`.
 */
export function updateDifficulty(
  levels: LevelDifficulties,
  level: Level,
  { expected, right, tried }: { expected: number; right: number; tried: number },
): LevelDifficulties {
  const moved = [...levels] as [number, number, number, number];
  moved[level - 1] = levelOf(levels, level) + (DIFFICULTY_RATE * (expected - right)) / Math.sqrt(tried);
  const shift =
    (moved.reduce((sum, d) => sum + d, 0) - START_DIFFICULTY.reduce((sum, d) => sum + d, 0)) / LEVELS.length;
  return moved.map((d) => clamp(d - shift, -MAX_DIFFICULTY, MAX_DIFFICULTY)) as unknown as LevelDifficulties;
}

/** The entry of a level in a tuple of four. */
export function levelOf<T>(entries: readonly [T, T, T, T], level: Level): T {
  return entries[(level - 1) as 0 | 1 | 2 | 3];
}

type Measured = Pick<RegionState, "task" | "errorType" | "abilityMean" | "abilityVar" | "scored">;

/**
 * The beliefs as a plan reads them, one per region: each is drawn towards the sum of its task's and its error type's
 * effect, the more so the less it was measured itself (empirical Bayes on an additive model). The order of the regions
 * decides the last bits of the sums.
 */
export function readAbilities(regions: readonly Measured[]): Ability[] {
  const tasks = numbered(regions, ({ task }) => task);
  const types = numbered(regions, ({ errorType }) => errorType);
  const all = { numbers: new Uint32Array(regions.length), count: 1 };
  const weights = new Float64Array(regions.length);
  const rest = new Float64Array(regions.length);
  for (let i = 0; i < regions.length; i++) {
    const { abilityMean, abilityVar, scored } = regions[i] as Measured;
    weights[i] = scored > 0 ? 1 / (abilityVar + RESIDUAL_VARIANCE) : 0;
    rest[i] = abilityMean;
  }
  const effects = [all, tasks, types].map((groups) => takeEffect(groups, weights, rest));
  return regions.map(({ abilityMean, abilityVar }, i) => {
    let prior = 0;
    for (const effect of effects) prior += effect[i] ?? 0;
    const precision = 1 / abilityVar + 1 / RESIDUAL_VARIANCE;
    return { mean: (abilityMean / abilityVar + prior / RESIDUAL_VARIANCE) / precision, variance: 1 / precision };
  });
}

interface Numbered {
  readonly numbers: Uint32Array;
  readonly count: number;
}

function numbered(regions: readonly Measured[], nameOf: (region: Measured) => string): Numbered {
  const known = new Map<string, number>();
  const numbers = new Uint32Array(regions.length);
  for (let i = 0; i < numbers.length; i++) {
    const name = nameOf(regions[i] as Measured);
    let number = known.get(name);
    if (number === undefined) {
      number = known.size;
      known.set(name, number);
    }
    numbers[i] = number;
  }
  return { numbers, count: known.size };
}

/**
 * Takes from the amounts the mean of their group, and returns what was taken from each. The surer ones weigh more, and each mean is
 * drawn to zero by one pseudo-observation of unit weight.
 */
function takeEffect({ numbers, count }: Numbered, weights: Float64Array, amounts: Float64Array): Float64Array {
  const sums = new Float64Array(count);
  const total = new Float64Array(count);
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i] ?? 0;
    sums[number] = (sums[number] ?? 0) + (weights[i] ?? 0) * (amounts[i] ?? 0);
    total[number] = (total[number] ?? 0) + (weights[i] ?? 0);
  }
  const taken = new Float64Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i] ?? 0;
    taken[i] = (sums[number] ?? 0) / ((total[number] ?? 0) + 1);
    amounts[i] = (amounts[i] ?? 0) - (taken[i] ?? 0);
  }
  return taken;
}
