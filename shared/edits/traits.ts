import { wordDiff } from "./diff.ts";
import { wordsOf } from "./words.ts";

/** Words by which questions count as beginning alike. */
const TEMPLATE_WORDS = 3;
const TEMPLATE_CHARS = 100;
/** Longest text of changed words that is kept; UTF-16 units. */
const SPAN_CHARS = 500;
const BETWEEN_SPANS = " … ";

/** How a question begins: its first words without case and punctuation; empty without words. */
export function templateOf(question: string): string {
  return wordsOf(question).slice(0, TEMPLATE_WORDS).join(" ").slice(0, TEMPLATE_CHARS);
}

/** The words of the right answer that an edit changed, and what stands there instead. */
export function changedWords(answer: string, rejected: string): { readonly from: string; readonly to: string } {
  const { spans } = wordDiff(wordsOf(answer), wordsOf(rejected));
  const joined = (parts: readonly (readonly string[])[]) =>
    parts
      .map((words) => words.join(" "))
      .join(BETWEEN_SPANS)
      .slice(0, SPAN_CHARS);
  return { from: joined(spans.map(({ from }) => from)), to: joined(spans.map(({ to }) => to)) };
}
