import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { ErrorType, Level, Modality, Task } from "../taxonomy/taxonomy.ts";

/** What is known of one region when a tick begins. Counts are decayed unless said otherwise. */
export interface RegionState {
  readonly key: string;
  readonly task: Task;
  readonly errorType: ErrorType;
  readonly language: string;
  readonly modality: Modality;
  readonly failures: number;
  readonly exposures: number;
  readonly failureMass: number;
  /** Since the last tick, not decayed yet. */
  readonly newFailures: number;
  readonly newExposures: number;
  /** Logits. */
  readonly abilityMean: number;
  readonly abilityVar: number;
  /** The level of the region's last plan. */
  readonly level: Level;
  /** Tokens per accepted pair. */
  readonly costTokens: number;
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
  /** Edits per level 1..4. */
  readonly levels: readonly [LevelState, LevelState, LevelState, LevelState];
}

export interface LevelState {
  readonly attempted: number;
  readonly refused: number;
}

/** Difficulty of levels 1..4 in logits, per error type; a type not listed has `START_DIFFICULTY`. */
export type Difficulties = Readonly<Partial<Record<ErrorType, readonly [number, number, number, number]>>>;
export const START_DIFFICULTY = [-1.5, -0.5, 0.5, 1.5] as const;

/** All that a plan depends on: the same inputs give the same bytes. */
export interface PlanInputs {
  /** ms */
  readonly at: number;
  readonly seed: number;
  readonly policy: SchedulerPolicy;
  readonly regions: readonly RegionState[];
  readonly difficulties: Difficulties;
}

export interface PlanLine {
  readonly region: string;
  readonly level: Level;
  readonly pairs: number;
  readonly kind: "floor" | "value" | "uniform";
  /** By value at entry; 1 is the most valuable. */
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
  readonly sentence: string;
}

export interface Plan {
  readonly lines: readonly PlanLine[];
  readonly planned: number;
  readonly budget: number;
}
