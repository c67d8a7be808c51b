import { z } from "zod";
import type { AlarmsPolicy, PolicyDocument } from "../contracts/policy.ts";
import { type Ability, clamp, MAX_VARIANCE, ROUND_DRIFT, sigmoid, type Trials } from "./ability.ts";
import type { Alarm } from "./state.ts";

/** Part of the baseline of the failure rate that is kept from tick to tick: a memory of about 20 ticks. */
const BASELINE_KEPT = 0.95;
/** A tick farther from its baseline than this counts as this far, so that one odd tick alone is no jump. Deviations. */
const FARTHEST = 4;
/** The sum of rises stops at so many thresholds, so that an alarm ends soon after its cause. */
const HIGHEST = 2;
/** Part of the counts of first scorings that is kept from one measured round to the next. */
const FIRST_KEPT = 0.7;
/** An ability has moved when it did so by this many standard deviations of the belief. */
const MOVED = 1;
/** The same sums of log-probabilities, in another place of a batch, differ by up to so many nats, or by this part of themselves. */
const MIRROR_NATS = 0.1;
const MIRROR_SHARE = 0.02;

const rateWatch = z.object({
  /** Decayed failures and exposures of earlier ticks, the baseline. */
  failures: z.number().default(0),
  exposures: z.number().default(0),
  /** Mean square of the ticks' distances from the baseline, against that of chance alone: days differ more than dice do. */
  spread: z.number().default(1),
  /** Sum of the rises above the baseline, deviations. */
  rise: z.number().default(0),
});
/** What ticks remember of a region's failure rate. */
export type RateWatch = Readonly<z.infer<typeof rateWatch>>;

const roundWatch = z.object({
  /** Distance of right answers measured and predicted, in the last round that had new pairs, deviations. */
  innovation: z.number().default(0),
  /** Decayed counts of pairs at their first scoring. */
  firstTried: z.number().default(0),
  firstRight: z.number().default(0),
  /** Rounds in a row with new pairs and without a rise of ability above `abilityWas`. */
  still: z.number().default(0),
  /** Logits; null before the first such round. */
  abilityWas: z.number().nullable().default(null),
});
/** What rounds remember of a region. */
export type RoundWatch = Readonly<z.infer<typeof roundWatch>>;

/** Of the column `rate_watch`: `{}` is a fresh one. */
export function readRateWatch(json: string): RateWatch {
  return rateWatch.parse(JSON.parse(json));
}

/** Of the column `round_watch`: `{}` is a fresh one. */
export function readRoundWatch(json: string): RoundWatch {
  return roundWatch.parse(JSON.parse(json));
}

/**
 * The watch after a tick with so many failures in so many exposures. Page and Hinkley's test (Page, Biometrika 1954; Hinkley,
 * Biometrika 1971), one-sided and in its recursive form: rise = max(0, rise + z - slack), an alarm above the threshold. z is the
 * tick's rate against the baseline in deviations, on Anscombe's scale (Biometrika 1948) where the spread of a rate does not
 * depend on the rate, so that rare failures raise no false alarms; the doubt about the baseline and the spread seen so far widen it.
 */
export function watchRate(
  watch: RateWatch,
  tick: { readonly failures: number; readonly exposures: number },
  { rateSlack, rateThreshold }: Pick<AlarmsPolicy, "rateSlack" | "rateThreshold">,
): RateWatch {
  const tried = Math.max(tick.exposures, tick.failures);
  if (tried === 0) return watch;
  const z = clamp(deviation(tick.failures, tried, watch) / Math.sqrt(watch.spread), -FARTHEST, FARTHEST);
  return {
    failures: BASELINE_KEPT * watch.failures + tick.failures,
    exposures: BASELINE_KEPT * watch.exposures + tried,
    spread: Math.max(1, watch.spread * (BASELINE_KEPT + (1 - BASELINE_KEPT) * z ** 2)),
    rise: clamp(watch.rise + z - rateSlack, 0, HIGHEST * rateThreshold),
  };
}

function deviation(failures: number, tried: number, { failures: before, exposures }: RateWatch): number {
  if (exposures === 0) return 0;
  const scaled = (count: number) => Math.asin(Math.sqrt((count + 3 / 8) / (tried + 3 / 4)));
  const difference = scaled(failures) - scaled((tried * before) / exposures);
  return (2 * Math.sqrt(tried + 1 / 2) * difference) / Math.sqrt(1 + tried / exposures);
}

/** What a round with new pairs of a region saw: the belief before and after it, and the pairs by difficulty. */
export interface MeasuredRound {
  readonly before: Ability;
  readonly after: Ability;
  /** At least one. */
  readonly trials: readonly Trials[];
}

/** The watch after a round with new pairs. */
export function watchRound(
  watch: RoundWatch,
  round: MeasuredRound,
  { batch }: Pick<PolicyDocument, "batch">,
): RoundWatch {
  const tried = round.trials.reduce((sum, trial) => sum + trial.tried, 0);
  const right = round.trials.reduce((sum, trial) => sum + trial.right, 0);
  return {
    innovation: innovationOf(round),
    firstTried: FIRST_KEPT * watch.firstTried + tried,
    firstRight: FIRST_KEPT * watch.firstRight + right,
    ...stillness(watch, round.after, right / tried > batch.bandHigh),
  };
}

/**
 * Standardised innovation: right answers minus those expected, over the deviation of their predictive distribution. It holds both
 * the chance of each answer and the doubt about ability, which moves all answers together: sum n p (1 - p) + v (sum n p (1 - p))^2.
 */
function innovationOf({ before, trials }: MeasuredRound): number {
  const variance = Math.min(before.variance + ROUND_DRIFT, MAX_VARIANCE);
  let [surplus, spread] = [0, 0];
  for (const { difficulty, tried, right } of trials) {
    const p = sigmoid(before.mean - difficulty);
    surplus += right - tried * p;
    spread += tried * p * (1 - p);
  }
  return surplus / Math.sqrt(spread + variance * spread ** 2);
}

/** A fall lowers the bar for the next rise, but is none. A region that is nearly always right has nowhere to rise to. */
function stillness(
  watch: RoundWatch,
  { mean, variance }: Ability,
  mastered: boolean,
): Pick<RoundWatch, "still" | "abilityWas"> {
  const { abilityWas } = watch;
  const moved = MOVED * Math.sqrt(variance);
  if (abilityWas === null || mastered || mean > abilityWas + moved) return { still: 0, abilityWas: mean };
  return { still: watch.still + 1, abilityWas: mean < abilityWas - moved ? mean : abilityWas };
}

/** What alarms are read from. */
export interface Watched {
  readonly rateWatch: RateWatch;
  readonly roundWatch: RoundWatch;
  /** Of the region: moving average of the change of its chosen answers' log-probability, nats. */
  readonly chosenLogRatio: number;
}

/** The alarms that are on, in the order of `ALARMS`. */
export function alarmsOf(
  { rateWatch, roundWatch, chosenLogRatio }: Watched,
  { alarms, scheduler }: Pick<PolicyDocument, "alarms" | "scheduler">,
): readonly Alarm[] {
  const { innovation, firstTried, firstRight, still } = roundWatch;
  const on: Alarm[] = [];
  if (rateWatch.rise > alarms.rateThreshold) on.push("failure-rate");
  if (Math.abs(innovation) > alarms.surprise) on.push("surprise");
  if (chosenLogRatio < scheduler.chosenLogRatioAlarm) on.push("displacement");
  if (firstTried >= alarms.firstScoringMin && firstRight > alarms.firstScoring * firstTried) on.push("style");
  if (still >= alarms.stillRounds) on.push("still");
  return on.length === 0 ? NONE : on;
}

const NONE: readonly Alarm[] = [];

/** A sentinel's gap log P(chosen) - log P(rejected) as it is, and that of its twin, whose answers are swapped; nats. */
export interface Twins {
  readonly gap: number;
  readonly swapped: number;
}

export interface SentinelAlarm {
  readonly on: boolean;
  readonly twins: number;
  readonly mirrored: number;
  /** One sentence. */
  readonly sentence: string;
}

/**
 * Whether sentinels and their twins mirror each other. Swapped answers have the negated gap, whatever the model knows: where they
 * have not, answers are mixed up on the way through the trainer, and no score of the round can be trusted. An alarm of the whole
 * pipeline, not of a region.
 */
export function sentinelAlarm(
  twins: readonly Twins[],
  { sentinelAccuracy }: Pick<AlarmsPolicy, "sentinelAccuracy">,
): SentinelAlarm {
  const mirrored = twins.filter(mirrors).length;
  const on = mirrored < sentinelAccuracy * twins.length;
  const sentence =
    twins.length === 0
      ? "No sentinels were scored."
      : `${mirrored} of ${twins.length} sentinels mirror their twins, ${Math.round(100 * sentinelAccuracy)} % ${on ? "should" : "are enough"}.`;
  return { on, twins: twins.length, mirrored, sentence };
}

function mirrors({ gap, swapped }: Twins): boolean {
  return Math.abs(gap + swapped) <= Math.max(MIRROR_NATS, MIRROR_SHARE * Math.abs(gap));
}
