import type { FieldProblem } from "../../shared/contracts/common.ts";
import type { FailureEvent, PairEvent } from "../../shared/contracts/ingest.ts";
import type { IntakePolicy } from "../../shared/contracts/policy.ts";
import type { Verdict } from "../store/failures.ts";

const NOT_ASCII = /[^\0-\x7f]/;
const CLOSING: ReadonlySet<string> = new Set([".", "!", "。", "！", " "]);

/** Which of an event's texts is the right answer; null when nobody told it. */
export type AnswerAt = "correction" | "reference" | "response" | "better";

/** What is said of a response. */
export interface Judged {
  readonly verdict: Verdict;
  readonly answerAt: AnswerAt | null;
}
/** What an event says of its response, or why it contradicts itself. */
export type Judgement = Judged | { readonly problem: FieldProblem };

/**
 * The verdict on a response. A correction is worth more than a reference. A rating that contradicts the right answer makes
 * the event useless, so it is refused. A reward alone can make a response wrong, never right.
 */
export function judge(
  event: Pick<FailureEvent, "response" | "correction" | "reference" | "rating" | "reward">,
  policy: Pick<IntakePolicy, "wrongRewardMax">,
): Judgement {
  const told = event.correction ?? event.reference;
  const toldAt = event.correction !== undefined ? "correction" : "reference";
  const agrees = told === undefined ? null : sameAnswer(told, event.response);
  if (event.rating === "up") {
    if (agrees === false) return contradiction("is up, but the response differs from the right answer that was sent");
    return { verdict: "right", answerAt: agrees ? toldAt : "response" };
  }
  if (event.rating === "down") {
    if (agrees === true) return contradiction("is down, but the response equals the right answer that was sent");
    return { verdict: "wrong", answerAt: agrees === null ? null : toldAt };
  }
  if (agrees !== null) return { verdict: agrees ? "right" : "wrong", answerAt: toldAt };
  const { reward } = event;
  const poor = reward !== undefined && policy.wrongRewardMax !== null && reward <= policy.wrongRewardMax;
  return { verdict: poor ? "wrong" : "unjudged", answerAt: null };
}

/** The responses of a low-reward pair by their rewards; of two with the same one the first is the better. */
export function ranked<R extends { readonly reward: number }>([first, second]: readonly [R, R]) {
  return first.reward >= second.reward
    ? ({ better: first, worse: second } as const)
    : ({ better: second, worse: first } as const);
}

/**
 * The verdict on the worse response of a low-reward pair: wrong, with the better one as the right answer, when that is good
 * enough by the policy and says something else; unjudged otherwise.
 */
export function judgePair(
  responses: PairEvent["responses"],
  policy: Pick<IntakePolicy, "pairRewardMin" | "pairRewardGapMin">,
): Judged {
  const { better, worse } = ranked(responses);
  const gap = better.reward - worse.reward;
  const good = policy.pairRewardMin !== null && better.reward >= policy.pairRewardMin;
  const told = good && gap > 0 && gap >= policy.pairRewardGapMin && !sameAnswer(better.text, worse.text);
  return told ? { verdict: "wrong", answerAt: "better" } : { verdict: "unjudged", answerAt: null };
}

/** Whether two answers say the same apart from case, spacing, Unicode composition and the closing mark. */
export function sameAnswer(a: string, b: string): boolean {
  return normalise(a) === normalise(b);
}

/** The side of a yes/no answer: its first word, in English only, where the word is sure to mean that. */
export function polarityOf(answer: string, language: string): "yes" | "no" | null {
  if (language !== "en" && !language.startsWith("en-")) return null;
  const word = /^\P{L}*(yes|no)(?![\p{L}\p{N}'’-])/iu.exec(answer)?.[1]?.toLowerCase();
  return word === "yes" || word === "no" ? word : null;
}

function contradiction(message: string): { problem: FieldProblem } {
  return { problem: { path: "rating", message } };
}

/** The closing marks go one by one: a pattern would take quadratic time on a text of nothing but marks. */
function normalise(answer: string): string {
  const composed = NOT_ASCII.test(answer) ? answer.normalize("NFC") : answer;
  const words = composed.toLowerCase().replace(/\s+/gu, " ").trim();
  let end = words.length;
  while (end > 0 && CLOSING.has(words.charAt(end - 1))) end -= 1;
  return end > 0 ? words.slice(0, end) : words;
}
