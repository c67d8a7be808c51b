import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import { clamp, levelOf } from "./ability.ts";
import type { LevelState } from "./state.ts";

/**
 * What a right pair teaches at predicted accuracy `p`: learnability p (1 - p), scaled to 1 and tilted to the harder side
 * (Rutherford et al., NeurIPS 2024, for the first factor). 0 at both ends, greatest at 0.45.
 */
export function gainOf(p: number): number {
  return 4 * p * (1 - p) * (0.8 + 0.4 * (1 - p));
}

/** Share of edits refused at a level, drawn to the policy's prior while few were tried. */
export function refusalRate({ attempted, refused }: LevelState, level: Level, policy: SchedulerPolicy): number {
  const { refusalPrior, refusalPriorWeight } = policy;
  const total = attempted + refusalPriorWeight;
  const prior = levelOf(refusalPrior, level);
  return total === 0 ? prior : clamp((refused + refusalPriorWeight * prior) / total, 0, 1);
}

/**
 * Share of wrong edits among the accepted. The refusal rate is `sensitivity` of the wrong ones plus `false positive` of
 * the good ones, which tells how many were wrong (Rogan and Gladen 1978); those not caught survive.
 */
export function survivingNoise(refused: number, policy: SchedulerPolicy): number {
  const { judgeSensitivity, judgeFalsePositive } = policy;
  if (refused >= 1) return 1;
  const power = judgeSensitivity - judgeFalsePositive;
  const wrong = power <= 0 ? refused : clamp((refused - judgeFalsePositive) / power, 0, 1);
  return clamp((wrong * (1 - judgeSensitivity)) / (1 - refused), 0, 1);
}

/** What the first pair of a region is worth at a level, before what is planned and ready already; negative where noise costs more than the gain. */
export function firstPairValue(failureMass: number, refused: number, noise: number, gain: number): number {
  return failureMass * (1 - refused) * ((1 - noise) * gain - 0.5 * noise);
}

/** The worth of the pair after `ahead` planned or ready ones. */
export function nextPairValue(first: number, ahead: number, cost: number, policy: SchedulerPolicy): number {
  return (first * Math.exp(-ahead / policy.backlogScalePairs)) / cost;
}
