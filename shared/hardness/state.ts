import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";

/** What is known of one region when a tick begins. Counts are decayed unless said otherwise. */
export interface RegionState {
  /** `task/errorType/language/modality`. */
  readonly key: string;
  readonly task: string;
  readonly errorType: string;
  readonly language: string;
  readonly modality: string;
  readonly failures: number;
  readonly exposures: number;
  readonly failureMass: number;
  /** Since the last tick, not decayed yet; no client's part is larger than the policy allows. */
  readonly newFailures: number;
  readonly newExposures: number;
  /** Logits. */
  readonly abilityMean: number;
  readonly abilityVar: number;
  /** Up to which plans go freely: the level of the last plan, but no higher than that of the first one after the last round. */
  readonly level: Level;
  /** Where the staircase stands, whether it steers the region or not. */
  readonly stairLevel: Level;
  /** Tokens per accepted pair. */
  readonly costTokens: number;
  /** Money per accepted pair, micro-units. */
  readonly costMicros: number;
  /** Mean log-ratio of chosen answers against the reference, nats. */
  readonly chosenLogRatio: number;
  /** Pairs ready and not trained yet. */
  readonly backlog: number;
  /** Fresh pairs measured so far; 0 means that ability is a prior. */
  readonly scored: number;
  /** When it last got pairs, ms; null is never. */
  readonly plannedAt: number | null;
  /** Sources of the region's task that can still be edited, and those among them whose own wrong answer is of the region's error type. */
  readonly editable: number;
  readonly ownAnswers: number;
  /** The levels that mean something for the error type, rising. */
  readonly offered: readonly Level[];
  /** Alarms that are on. While one is, the level may not rise. */
  readonly alarms: readonly Alarm[];
  /** Edits per level 1..4. */
  readonly levels: readonly [LevelState, LevelState, LevelState, LevelState];
}

export interface LevelState {
  readonly attempted: number;
  readonly refused: number;
}

/**
 * What can be wrong with a region: its failure rate jumped; a measured accuracy was far from the predicted one; its chosen answers
 * lose probability; pairs never trained on are told apart too easily; training does not raise its ability.
 */
export const ALARMS = ["failure-rate", "surprise", "displacement", "style", "still"] as const;
export type Alarm = (typeof ALARMS)[number];

/** Difficulty of levels 1..4 in logits, per error type; a type not listed has `START_DIFFICULTY`. */
export type Difficulties = Readonly<Record<string, readonly [number, number, number, number]>>;
export const START_DIFFICULTY = [-1.5, -0.5, 0.5, 1.5] as const;

/** What may still be spent on edits today; null where nothing is spent or nothing is limited. */
export interface Funds {
  readonly tokens: number | null;
  readonly micros: number | null;
}

/** All that a plan depends on: the same inputs give the same bytes. */
export interface PlanInputs {
  /** ms */
  readonly at: number;
  readonly seed: number;
  readonly policy: SchedulerPolicy;
  readonly funds: Funds;
  readonly regions: readonly RegionState[];
  readonly difficulties: Difficulties;
}

/** Who decided on the pairs of a line: the floor, the value, the staircase, or nobody (`uniform`). */
export const LINE_KINDS = ["floor", "value", "staircase", "uniform"] as const;
export type LineKind = (typeof LINE_KINDS)[number];

export interface PlanLine {
  readonly region: string;
  readonly level: Level;
  readonly pairs: number;
  readonly kind: LineKind;
  /** Among the regions of its strategy, by what they bid for their first pair; 1 is the highest bid, equal bids share a rank. */
  readonly rank: number;
  /** Predicted accuracy of the deployed model on such pairs, with its 90 % interval. */
  readonly predicted: number;
  readonly interval: readonly [number, number];
  readonly gain: number;
  readonly failureMass: number;
  readonly refusalRate: number;
  /** Relative cost per pair. */
  readonly cost: number;
  readonly valueAtEntry: number;
  readonly valueAtStop: number;
  readonly capped: boolean;
  readonly alarms: readonly Alarm[];
  readonly sentence: string;
}

export interface Plan {
  readonly lines: readonly PlanLine[];
  readonly planned: number;
  readonly budget: number;
  /** What the plan is expected to spend: tokens and micro-units, whole numbers. */
  readonly expected: { readonly tokens: number; readonly micros: number };
  /** Why no more was planned. */
  readonly stopped: "budget" | "tokens" | "money" | "cap" | "supply" | "no value left";
}
