import type { z } from "zod";
import type { planLine, tickJobs } from "../../shared/contracts/operator.ts";
import type { GateResult, gateSlice, Verdict } from "../../shared/contracts/training.ts";

/** One slice of questions, the base model before and the deployed one after, item by item. */
export type HeldOutSlice = z.infer<typeof gateSlice>;

/** The deployed model on held-out images, none of which was ever trained on or used by the gate. */
export interface HeldOut {
  readonly adapter: string | null;
  readonly all: HeldOutSlice;
  readonly tasks: readonly HeldOutSlice[];
  readonly regions: readonly HeldOutSlice[];
  /** Shares of "yes" among the answers to yes/no questions. */
  readonly yesRate: GateResult["yesRate"];
}

/** What the deployed client did in one round. */
export interface Served {
  readonly images: number;
  readonly asked: number;
  readonly right: number;
  readonly wrong: number;
  readonly tasks: Readonly<Record<string, { readonly asked: number; readonly right: number }>>;
  /** False when some reports were not out in time; the client still tries. */
  readonly flushed: boolean;
  /** What became of its reports. */
  readonly reporter: Readonly<Record<string, number>>;
}

/** The trainer's summary of its round. */
export interface Trained {
  readonly round: string;
  readonly resumed: boolean;
  /** Trained on. */
  readonly pairs: number;
  readonly groups: number;
  /** Lines of the batch that were only scored: sentinels, their twins, and mastered pairs. */
  readonly scored: number;
  readonly refused: number;
  readonly rewardAccuracyBefore: number;
  readonly rewardAccuracyAfter: number;
  readonly marginBefore: number;
  readonly marginAfter: number;
  readonly chosenLogRatio: number;
  readonly gate: GateResult;
  readonly verdict: Verdict;
  readonly adapter: string | null;
  readonly champion: string | null;
  readonly seconds: Readonly<Record<string, number>>;
}

/** One turn of the loop. */
export interface RoundRecord {
  readonly round: number;
  readonly served: Served;
  readonly tick: {
    readonly id: number;
    readonly planned: number;
    readonly budget: number;
    readonly lines: readonly z.infer<typeof planLine>[];
  };
  readonly edits: z.infer<typeof tickJobs>;
  /** Null when there was nothing to train, for `skipped`. */
  readonly trained: Trained | null;
  readonly skipped: string | null;
  readonly champion: string | null;
  readonly before: HeldOut;
  readonly after: HeldOut;
  readonly seconds: number;
}
