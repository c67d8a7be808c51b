import type { FieldProblem } from "../../shared/contracts/common.ts";
import type { FailureEvent } from "../../shared/contracts/ingest.ts";

const CLOSING: ReadonlySet<string> = new Set([".", "!", "。", "！", " "]);

type Verdict = "wrong" | "right" | "unjudged";

/** What an event says of its response, or why it contradicts itself. `answer` is the right answer; null when nobody told it. */
export type Judgement =
  | { readonly verdict: Verdict; readonly answer: string | null }
  | { readonly problem: FieldProblem };

/**
 * The verdict on a response. A correction is worth more than a reference. A rating that contradicts the right answer makes
 * the event useless, so it is refused.
 */
export function judge(event: Pick<FailureEvent, "response" | "correction" | "reference" | "rating">): Judgement {
  const told = event.correction ?? event.reference ?? null;
  const agrees = told === null ? null : sameAnswer(told, event.response);
  if (event.rating === "up") {
    if (agrees === false) return contradiction("is up, but the response differs from the right answer that was sent");
    return { verdict: "right", answer: told ?? event.response };
  }
  if (event.rating === "down") {
    if (agrees === true) return contradiction("is down, but the response equals the right answer that was sent");
    return { verdict: "wrong", answer: told };
  }
  if (agrees === null) return { verdict: "unjudged", answer: null };
  return { verdict: agrees ? "right" : "wrong", answer: told };
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
  const words = answer.normalize("NFC").toLowerCase().replace(/\s+/gu, " ").trim();
  let end = words.length;
  while (end > 0 && CLOSING.has(words.charAt(end - 1))) end -= 1;
  return end > 0 ? words.slice(0, end) : words;
}
