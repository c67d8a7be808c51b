import type { z } from "zod";
import type { planLine, tickJobs } from "../../shared/contracts/operator.ts";
import type { GateResult, Verdict } from "../../shared/contracts/training.ts";

/** One slice of the held-out questions: the deployed model now, against the base model, item by item. */
export interface HeldOutSlice {
  readonly name: string;
  readonly n: number;
  readonly right: number;
  /** Wrong under the base model, right now; and the other way round. */
  readonly fixed: number;
  readonly broken: number;
  /** `fell`: worse than the base by more than chance and the gate's epsilon. */
  readonly guard: "held" | "fell" | "too small to say";
}

/** The deployed model on held-out images, none of which was ever trained on or used by the gate. */
export interface HeldOut {
  readonly adapter: string | null;
  readonly all: HeldOutSlice;
  readonly tasks: readonly HeldOutSlice[];
  readonly regions: readonly HeldOutSlice[];
  /** Share of "yes" among the answers to yes/no questions, and among the right answers. */
  readonly yesRate: { readonly n: number; readonly rate: number | null; readonly truth: number | null };
}

/** What the deployed client did in one round. */
export interface Served {
  readonly images: number;
  readonly asked: number;
  readonly right: number;
  readonly wrong: number;
  readonly byTask: Readonly<Record<string, { readonly asked: number; readonly wrong: number }>>;
  readonly reports: Readonly<Record<string, number>>;
}

/** The trainer's summary of its round. */
export interface Trained {
  readonly roundId: string;
  readonly pairs: number;
  readonly groups: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly rewardAccuracy: { readonly before: number; readonly after: number };
  readonly margin: { readonly before: number; readonly after: number };
  readonly chosenLogRatio: number;
  readonly verdict: Verdict;
  readonly gate: GateResult;
  readonly adapter: string | null;
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
