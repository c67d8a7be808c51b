import type { ErrorType } from "../../taxonomy/taxonomy.ts";
import { type Span, wordDiff } from "../diff.ts";
import { type Candidate, type Refusal, refuse } from "../types.ts";
import { uninflected, wordsOf } from "../words.ts";

interface Limits {
  /** Changed words over the length of the longer answer. */
  readonly share: number;
  /** Words that one answer may be longer: this many, or this share of the right answer, whichever is more. */
  readonly lengthWords: number;
  readonly lengthShare: number;
  readonly spans: number;
}

/** Set on the human-checked negatives of SugarCrepe (Hsieh et al., NeurIPS 2023), of which they pass 97 %. */
const VALUE_LIMITS: Limits = { share: 0.45, lengthWords: 3, lengthShare: 0.1, spans: 3 };
const CLAIM_LIMITS: Limits = { share: 0.55, lengthWords: 3, lengthShare: 0.1, spans: 3 };
const RELATION_LIMITS: Limits = { share: 0.55, lengthWords: 4, lengthShare: 0.1, spans: 3 };
const ADDITION_LIMITS: Limits = { share: 0.55, lengthWords: 8, lengthShare: 0.15, spans: 3 };
const SWAP_LIMITS: Limits = { share: 0.75, lengthWords: 3, lengthShare: 0.1, spans: 4 };

const LIMITS_OF: Readonly<Record<ErrorType, Limits>> = {
  "existence-add": ADDITION_LIMITS,
  "existence-omit": ADDITION_LIMITS,
  "position-inversion": RELATION_LIMITS,
  action: RELATION_LIMITS,
  "temporal-order": RELATION_LIMITS,
  "comparison-inversion": RELATION_LIMITS,
  "count-near": CLAIM_LIMITS,
  "count-far": CLAIM_LIMITS,
  negation: CLAIM_LIMITS,
  "reasoning-step": CLAIM_LIMITS,
  attribute: VALUE_LIMITS,
  identity: VALUE_LIMITS,
  scene: VALUE_LIMITS,
  knowledge: VALUE_LIMITS,
  "text-misread": VALUE_LIMITS,
  "language-slip": VALUE_LIMITS,
  "attribute-swap": SWAP_LIMITS,
  "role-swap": SWAP_LIMITS,
};

export interface Nearness {
  readonly spans: readonly Span[];
  /** Changed words, without those that only agree with a changed number. */
  readonly distance: number;
}

/** Refuses what lies too far from the right answer; otherwise the changed spans and the word distance. */
export function checkNearness({ answer, rejected, errorType, language }: Candidate): Nearness | Refusal {
  const [from, to] = [wordsOf(answer), wordsOf(rejected)];
  const { spans, distance: plain } = wordDiff(from, to);
  const english = language === "en" || language.startsWith("en-");
  const distance = english ? Math.max(1, wordDiff(from.map(uninflected), to.map(uninflected)).distance) : plain;
  const limits = LIMITS_OF[errorType];
  const length = Math.max(from.length, to.length);
  if (distance > limits.share * length) {
    return refuse("nearness.distance", `${distance} of ${length} words differ; at most ${limits.share} of them may.`);
  }
  const longer = Math.abs(to.length - from.length);
  const allowed = Math.max(limits.lengthWords, limits.lengthShare * from.length);
  if (longer > allowed) {
    return refuse("nearness.length", `The lengths differ by ${longer} words; at most ${Math.floor(allowed)} may.`);
  }
  if (spans.length > limits.spans) {
    return refuse("nearness.spans", `${spans.length} places differ; at most ${limits.spans} may.`);
  }
  return { spans, distance };
}
