import type { ErrorType, Task } from "../../shared/taxonomy/taxonomy.ts";
import { sha256Hex } from "../http/hash.ts";

/** The origin of a wrong answer that the deployed model itself gave. */
export const OWN = "own";

/** What a pair is known by before it is stored. */
export interface PairTraits {
  readonly id: string;
  readonly origin: string;
  readonly task: Task;
  readonly errorType: ErrorType;
}

/**
 * Whether an accepted pair becomes a sentinel, which is scored by rounds and never trained on: a share of those whose answers are
 * known, by a hash of the id, so that every delivery of a message says the same. (Of one source's pairs the first alone becomes
 * one: `finishJobs` sees to that.)
 */
export function isSentinel(pair: PairTraits, share: number): boolean {
  if (!isKnown(pair)) return false;
  return Number.parseInt(sha256Hex(`sentinel\n${pair.id}`).slice(0, 8), 16) / 2 ** 32 < share;
}

/** The deployed model's own mistake was told to be one; a denial, and another number where a number is asked for, are wrong by rule. */
function isKnown({ origin, task, errorType }: PairTraits): boolean {
  if (origin === OWN || errorType === "negation") return true;
  return task === "counting" && (errorType === "count-near" || errorType === "count-far");
}
