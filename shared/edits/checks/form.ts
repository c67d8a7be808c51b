import { someKind } from "../kinds.ts";
import { numberOf } from "../numbers.ts";
import { type Candidate, type Refusal, refuse } from "../types.ts";
import { normalise, wordsOf } from "../words.ts";

const SCRIPTS = [
  "Latin",
  "Cyrillic",
  "Greek",
  "Arabic",
  "Hebrew",
  "Devanagari",
  "Han",
  "Hiragana",
  "Katakana",
  "Hangul",
  "Thai",
];
const SCRIPT_TESTS = SCRIPTS.map((name) => [name, new RegExp(`\\p{Script=${name}}`, "u")] as const);

/** Words below which the lack of common English words proves nothing. */
const MIN_WORDS_TO_JUDGE_LANGUAGE = 4;

const HEDGE =
  /\b(?:maybe|perhaps|possibly|probably|presumably|likely|apparently|might|(?:may|could|must) be|i think|i believe|i guess|it seems|seems? to|appears? to|not sure|unsure|unclear|uncertain|hard to (?:say|tell)|cannot (?:tell|determine)|can't (?:tell|determine)|as an ai)\b/i;

/** "is two dogs", "are a dog": the verb and the amount must agree. "are a few", "are a couple of" do. */
const DISAGREEMENT =
  /\bthere (?:is|was) (?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[2-9]|\d{2,})\b|\b(?:is|was) (?:two|three|four|five|six|seven|eight|nine|ten) [a-z]+s\b|\b(?:are|were) (?:one|1|an?) (?!few|lot|couple|pair|number|dozen|bunch|group|variety|hundred|of|and)[a-z]+|\b(?:a|an|one|1) (?:people|men|women|children)\b/i;

/** Refuses what is not the same kind of text as the right answer; null if it is. */
export function checkForm({ answer, rejected, language, errorType }: Candidate): Refusal | null {
  if (normalise(rejected) === "") return refuse("form.empty", "The edit has no words.");
  if (normalise(rejected) === normalise(answer))
    return refuse("form.identical", "The edit says the same words as the right answer.");
  const foreign = errorType === "language-slip" ? undefined : foreignScript(answer, rejected);
  if (foreign) return refuse("form.language", `The edit has ${foreign} letters, the right answer has none.`);
  const english = language === "en" || language.startsWith("en-");
  if (english && errorType !== "language-slip" && looksEnglish(answer) && !looksEnglish(rejected)) {
    return refuse("form.language", "The edit does not read like English, the right answer does.");
  }
  const hedge = HEDGE.exec(rejected);
  if (hedge && !HEDGE.test(answer)) return refuse("form.hedging", `The edit hedges: "${hedge[0]}".`);
  const format = formatProblem(answer, rejected);
  if (format) return refuse("form.format", format);
  const clash = english ? DISAGREEMENT.exec(rejected) : null;
  if (clash && !DISAGREEMENT.test(answer)) return refuse("form.agreement", `"${clash[0]}" does not agree in number.`);
  return null;
}

function foreignScript(answer: string, rejected: string): string | undefined {
  return SCRIPT_TESTS.find(([, test]) => test.test(rejected) && !test.test(answer))?.[0];
}

function looksEnglish(text: string): boolean {
  const words = wordsOf(text);
  return words.length < MIN_WORDS_TO_JUDGE_LANGUAGE || someKind(words, "function", "relation", "number", "quantity");
}

const lines = (text: string) => text.trim().split(/\r?\n/);
const lineMark = (line: string) =>
  /^\s*(?:[-*•#>]+|\d+[.)]|[a-z]\))\s/i
    .exec(line)?.[0]
    .trim()
    .replace(/[\da-z]+/i, "1") ?? "";
const marksOf = (text: string) =>
  ["```", "{", "}", "[", "]", "<", ">", "**", "|", "\\"].filter((mark) => text.includes(mark)).join(" ");
const ending = (text: string) => /[?!…:]\s*$/u.exec(text.trim())?.[0] ?? "";

/** A full stop more or less is no difference; a list, a table, a question or digits for words are. */
function formatProblem(answer: string, rejected: string): string | undefined {
  const [before, after] = [lines(answer), lines(rejected)];
  if (before.length !== after.length) return `The edit has ${after.length} lines, the right answer ${before.length}.`;
  if (before.map(lineMark).join() !== after.map(lineMark).join()) return "The edit is laid out as another list.";
  if (marksOf(answer) !== marksOf(rejected))
    return `The edit has other markup: "${marksOf(rejected)}" for "${marksOf(answer)}".`;
  if (ending(answer) !== ending(rejected)) return "The edit ends in another sentence mark.";
  const digits = (text: string) => /\d/.test(text);
  const spelled = wordsOf(answer).some((word) => numberOf(word) !== undefined);
  if (spelled && !digits(answer) && digits(rejected))
    return "The edit writes digits, the right answer writes numbers in words.";
  return undefined;
}
