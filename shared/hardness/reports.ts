import type { SchedulerPolicy } from "../contracts/policy.ts";
import { type Ability, clamp, MAX_ABILITY, sigmoid } from "./ability.ts";
import type { RegionState } from "./state.ts";

/** A report says less of ability than a scored pair: whoever asks, asks otherwise than pairs do, and some ticks have passed. */
const REPORT_WEIGHT = 0.5;
/** Exposures that what ability foretells of a failure rate weighs as much as. */
const PRIOR_EXPOSURES = 20;
/** Logit of the failure rate where ability is 0, before anything was reported, and the exposures that it weighs as much as. */
const PRIOR_OFFSET = -0.5;
const OFFSET_EXPOSURES = 4;
const NEWTON_STEPS = 3;
/** Farthest that one Newton step goes, in logits. */
const MAX_STEP = 1;

type Reported = Pick<RegionState, "failures" | "exposures" | "abilityMean" | "abilityVar">;

/** Whoever reports failures alone was exposed at least as often. */
function exposed({ failures, exposures }: Reported): number {
  return Math.max(failures, exposures);
}

/**
 * How hard what clients ask is: the offset with which P(failure) = sigmoid(offset - ability) foretells as many failures over all
 * regions as were reported. It also takes in that not every failure is reported.
 */
export function reportOffset(regions: readonly Reported[]): number {
  const tried = new Float64Array(regions.length);
  const means = new Float64Array(regions.length);
  let failures = 0;
  for (let i = 0; i < tried.length; i++) {
    const region = regions[i] as Reported;
    tried[i] = exposed(region);
    means[i] = region.abilityMean;
    failures += region.failures;
  }
  let offset = PRIOR_OFFSET;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    let slope = (PRIOR_OFFSET - offset) * OFFSET_EXPOSURES + failures;
    let precision = OFFSET_EXPOSURES;
    for (let i = 0; i < tried.length; i++) {
      const rate = sigmoid(offset - (means[i] ?? 0));
      slope -= (tried[i] ?? 0) * rate;
      precision += (tried[i] ?? 0) * rate * (1 - rate);
    }
    offset += clamp(slope / precision, -MAX_STEP, MAX_STEP);
  }
  return offset;
}

/** A region as the reading of abilities takes it: its own belief with its reports, and whether anything is known of it at all. */
export function believed(
  region: Reported & Pick<RegionState, "task" | "errorType" | "scored">,
  offset: number,
): Pick<RegionState, "task" | "errorType" | "abilityMean" | "abilityVar" | "scored"> {
  const { mean, variance } = withReports(region, offset);
  const { task, errorType, scored } = region;
  return { task, errorType, abilityMean: mean, abilityVar: variance, scored: scored + exposed(region) };
}

/** The belief in a region's ability with what clients reported of it before this tick. The belief itself stays as rounds left it. */
export function withReports(region: Reported, offset: number): Ability {
  const { failures, abilityMean, abilityVar } = region;
  const tried = exposed(region);
  let mean = abilityMean;
  let precision = 1 / abilityVar;
  if (tried === 0) return { mean, variance: abilityVar };
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const rate = sigmoid(offset - mean);
    const slope = (abilityMean - mean) / abilityVar + REPORT_WEIGHT * (tried * rate - failures);
    precision = 1 / abilityVar + REPORT_WEIGHT * tried * rate * (1 - rate);
    mean = clamp(mean + clamp(slope / precision, -MAX_STEP, MAX_STEP), -MAX_ABILITY, MAX_ABILITY);
  }
  return { mean, variance: 1 / precision };
}

/**
 * What ability foretells beyond the failures counted before this tick, to be added to the failure mass: few reports say little of
 * a rate, so the counted one is drawn to the foretold one, the more so the fewer there were (Poisson counts with a conjugate prior).
 * It does not depend on the tick's own failures, each of which goes on raising the mass by the same.
 */
export function foretoldMass(
  region: Reported & Pick<RegionState, "failureMass">,
  ability: Ability,
  offset: number,
  { decay }: Pick<SchedulerPolicy, "decay">,
): number {
  const tried = exposed(region);
  const foretold = tried * sigmoid(offset - ability.mean) - region.failures;
  const share = PRIOR_EXPOSURES / (tried + PRIOR_EXPOSURES);
  // Counts decay with each tick and so add up to decay / (1 - decay) ticks' worth; then the mass decays once more.
  return Math.max((1 - decay) * share * foretold, -decay * region.failureMass);
}
