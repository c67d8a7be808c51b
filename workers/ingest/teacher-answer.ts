import { answerRequest } from "../../shared/contracts/review.ts";
import { NO_ANSWER } from "../../shared/prompts/teach.ts";
import type { Completion } from "../model/chat.ts";

/** Longest right answer that is taken from a teacher; UTF-16 units. */
const ANSWER_CHARS = 4_000;
const APOSTROPHES = /[’‘]/g;
/** How models say that they do not answer. A right answer that begins so is refused too: it waits for a person. */
const REFUSAL = new RegExp(
  `^(?:${[
    "(?:i'?m|i am|we'?re|we are)?\\s*(?:very |so |really )?(?:sorry|afraid)\\b",
    "(?:unfortunately|regrettably),? (?:i|we)\\b",
    "(?:i|we) (?:can'?t|can ?not|could(?: not|n'?t)|do(?: not|n'?t) (?:know|see enough)|won'?t|will not)\\b",
    "(?:i'?m|i am) (?:not able|unable|not sure|not certain)\\b",
    "as an? (?:ai|artificial|language|large)\\b",
    "(?:es )?tut mir leid|leider kann ich|ich kann (?:nicht|kein|diese)|lo siento|no puedo|(?:je suis )?désolée?|je ne peux pas",
    "mi dispiace|non posso|desculpe|sinto muito|não posso|извините|к сожалению,? я|я не могу",
    "申し訳|すみません|抱歉|对不起|對不起|我无法|我不能|죄송",
  ].join("|")})`,
  "iu",
);
/** A model's thoughts, which some endpoints leave in the answer. */
const THOUGHTS = /<\/?think/i;

/** The right answer in what the teacher said; null when it holds none: it refused, was cut off, or said too much. */
export function answerIn({ text, finishReason }: Completion): string | null {
  if (text === null || finishReason !== "stop") return null;
  const answer = text.trim();
  if (answer.length > ANSWER_CHARS || THOUGHTS.test(answer) || answer.toUpperCase().startsWith(NO_ANSWER)) return null;
  if (REFUSAL.test(answer.replace(APOSTROPHES, "'"))) return null;
  return answerRequest.safeParse({ answer }).data?.answer ?? null;
}
