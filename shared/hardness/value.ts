import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import { clamp, levelOf } from "./ability.ts";
import type { LevelState } from "./state.ts";

/**
 * What a right pair teaches at predicted accuracy `p`: learnability p (1 - p), scaled to about 1 and tilted by the policy, to the
 * harder side where `gainTilt` is positive (Rutherford et al., NeurIPS 2024, for the first factor). 0 at both ends; by default
 * greatest at 0.52.
 */
export function gainOf(p: number, { gainBase, gainTilt }: Pick<SchedulerPolicy, "gainBase" | "gainTilt">): number {
  return 4 * p * (1 - p) * (gainBase + gainTilt * (1 - p));
}

/** Share of edits refused at a level, drawn to the policy's prior while few were tried. */
export function refusalRate(
  { attempted, refused }: LevelState,
  level: Level,
  policy: Pick<SchedulerPolicy, "refusalPrior" | "refusalPriorWeight">,
): number {
  const { refusalPrior, refusalPriorWeight } = policy;
  const total = attempted + refusalPriorWeight;
  const prior = levelOf(refusalPrior, level);
  return total === 0 ? prior : clamp((refused + refusalPriorWeight * prior) / total, 0, 1);
}

/**
 * Share of wrong edits among the accepted. The refusal rate is `sensitivity` of the wrong ones plus `false positive` of
 * the good ones, which tells how many were wrong (Rogan and Gladen 1978); those not caught survive.
 */
export function survivingNoise(
  refused: number,
  policy: Pick<SchedulerPolicy, "judgeSensitivity" | "judgeFalsePositive">,
): number {
  const { judgeSensitivity, judgeFalsePositive } = policy;
  if (refused >= 1) return 1;
  const power = judgeSensitivity - judgeFalsePositive;
  const wrong = power <= 0 ? refused : clamp((refused - judgeFalsePositive) / power, 0, 1);
  return clamp((wrong * (1 - judgeSensitivity)) / (1 - refused), 0, 1);
}

/** What an edit is worth per failure: negative where noise costs more than the gain. */
export function editValue(
  refused: number,
  noise: number,
  gain: number,
  { noisePenalty }: Pick<SchedulerPolicy, "noisePenalty">,
): number {
  return (1 - refused) * ((1 - noise) * gain - noisePenalty * noise);
}

/** The worth of the pair after `ahead` planned or ready ones. */
export function nextPairValue(
  first: number,
  ahead: number,
  cost: number,
  policy: Pick<SchedulerPolicy, "backlogScalePairs">,
): number {
  return (first * Math.exp(-ahead / policy.backlogScalePairs)) / cost;
}
