import type { ErrorType, Level, Task } from "../taxonomy/taxonomy.ts";

/** Why an edit was refused: the rung of the ladder, then the rule. `cannot` is the editor's own word for not trying. */
export const REFUSAL_REASONS = [
  "form.schema",
  "form.empty",
  "form.identical",
  "form.language",
  "form.hedging",
  "form.format",
  "form.agreement",
  "nearness.distance",
  "nearness.length",
  "nearness.spans",
  "aim.type",
  "rule.still-true",
  "rule.contradiction",
  "novelty.duplicate",
  "cannot.language",
  "cannot.type",
  "cannot.level",
  "cannot.no-target",
  "cannot.no-own-answer",
  "cannot.uncertain",
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export interface Refusal {
  readonly ok: false;
  readonly reason: RefusalReason;
  /** One sentence, fit to be told to a model that gets a second try. */
  readonly message: string;
}

/** One order to an editor: make `answer` wrong in the way `errorType` says, as near as `level` asks. */
export interface EditRequest {
  /** The user's last turn. */
  readonly question: string;
  /** The verified right answer. */
  readonly answer: string;
  readonly task: Task;
  readonly errorType: ErrorType;
  readonly level: Level;
  /** BCP 47, lower case. */
  readonly language: string;
  /** What the deployed model said instead, if it was wrong. */
  readonly ownAnswer: string | null;
  /** Rejected answers that exist already. */
  readonly avoid: readonly string[];
  /**
   * Right answers to other questions of this task. An edit prefers their words, so that a wrong answer cannot be told
   * by a word that no right answer ever uses.
   */
  readonly familiar?: readonly string[];
  /** The same request with the same seed gives the same edit. */
  readonly seed: number;
}

export type EditOutcome = { readonly ok: true; readonly rejected: string } | Refusal;

/** What the ladder needs to know of an edit. */
export interface Candidate {
  readonly question: string;
  readonly answer: string;
  readonly rejected: string;
  readonly task: Task;
  readonly errorType: ErrorType;
  readonly level: Level;
  readonly language: string;
}

export function refuse(reason: RefusalReason, message: string): Refusal {
  return { ok: false, reason, message };
}
