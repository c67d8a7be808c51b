import { wordDiff } from "../edits/diff.ts";
import { COMPARISON_WORDS, NEGATORS, TIME_WORDS } from "../edits/lexicon.ts";
import { numberOf } from "../edits/numbers.ts";
import { read, type Said, type Wording, wordingOf } from "./reading.ts";
import type { ErrorType } from "./taxonomy.ts";

/** Words of the longest answer that can be a bare verdict: "No, there are not any of those there". */
const MAX_VERDICT_WORDS = 8;

/** What was taken out of the right answer and what was put in. */
interface Change {
  readonly out: readonly Said[];
  readonly in: readonly Said[];
}

/** In which ways a response differs from the right answer, the surest first. Empty where they say the same. */
export function evidenceOf(response: string, answer: string): ErrorType[] {
  const [right, wrong] = [wordingOf(answer), wordingOf(response)];
  const change = changeOf(right, wrong);
  const denial = isDenial(right.words, wrong.words);
  const isSame = change.out.length === 0 && change.in.length === 0;
  return [
    ...(isLatin(answer) !== isLatin(response) ? (["language-slip"] as const) : []),
    ...(denial && (isSame || isVerdict(right) || isVerdict(wrong)) ? (["negation"] as const) : []),
    ...swaps(change),
    ...amounts(right.words, wrong.words),
    ...additions(change),
    ...replacements(change),
    ...(denial ? (["negation"] as const) : []),
  ];
}

const isLatin = (text: string) => /\p{Script=Latin}/u.test(text);

function changeOf(right: Wording, wrong: Wording): Change {
  const [a, b] = [right.words, wrong.words];
  // Only what lies between the common ends is read: the rest of two answers that differ in a word is most of them.
  let head = 0;
  while (head < Math.min(a.length, b.length) && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const [from, to] = [read(right, head, a.length - tail), read(wrong, head, b.length - tail)];
  const out: Said[] = [];
  const put: Said[] = [];
  let shift = 0;
  for (const span of wordDiff(from.map(stemOf), to.map(stemOf)).spans) {
    out.push(...from.slice(span.at, span.at + span.from.length));
    put.push(...to.slice(span.at + shift, span.at + shift + span.to.length));
    shift += span.to.length - span.from.length;
  }
  return { out, in: put };
}

const stemOf = ({ stem }: Said) => stem;
const some = (said: readonly Said[], role: Said["role"]) => said.some((one) => one.role === role);
const count = (said: readonly Said[], role: Said["role"]) => said.filter((one) => one.role === role).length;

const verdictOf = ([first]: readonly string[]) => (first === "yes" || first === "no" ? first : undefined);
/** "Yes." or "No, it isn't": nothing but the verdict is said. */
const isVerdict = (text: Wording) =>
  verdictOf(text.words) !== undefined &&
  text.words.length <= MAX_VERDICT_WORDS &&
  read(text, 0, text.words.length).length === 0;

/** One text affirms what the other denies. */
function isDenial(right: readonly string[], wrong: readonly string[]): boolean {
  const [a, b] = [verdictOf(right), verdictOf(wrong)];
  if (a !== undefined && b !== undefined) return a !== b;
  return denials(right) % 2 !== denials(wrong) % 2;
}

const denials = (words: readonly string[]) =>
  words.reduce((sum, word) => (NEGATORS.has(word) || word.endsWith("n't") ? sum + 1 : sum), 0);

/** Words that left one place and came back in another: who did what, or what was how, is exchanged. */
function swaps({ out, in: put }: Change): ErrorType[] {
  const telling = (said: readonly Said[]) => said.filter(({ role }) => role !== "link" && role !== "relation");
  const [left, came] = [telling(out), telling(put)];
  const back = new Map(came.map((one) => [one.stem, one.role]));
  const moved = left.filter(({ stem }) => back.has(stem));
  if (moved.length === 0 || 2 * moved.length < Math.min(left.length, came.length)) return [];
  const values = moved.filter(({ stem, role }) => isValue(role) || isValue(back.get(stem))).length;
  const things = moved.length - values;
  // "Two cats and a dog", "a cat and two dogs": which of the two words moved is all the same.
  const byAmount = things <= moved.filter(({ role }) => role === "amount").length;
  return byAmount || things < values ? ["attribute-swap", "role-swap"] : ["role-swap", "attribute-swap"];
}
const isValue = (role: Said["role"] | undefined) => role === "attribute" || role === "amount";

/** The first amount that a text tells; "no" is zero where no number stands. */
function amountIn(words: readonly string[]): number | undefined {
  for (const word of words) {
    const n = numberOf(word);
    if (n !== undefined) return n;
  }
  return words.includes("no") ? 0 : undefined;
}

function amounts(right: readonly string[], wrong: readonly string[]): ErrorType[] {
  const [before, after] = [amountIn(right), amountIn(wrong)];
  if (before === undefined || after === undefined || before === after) return [];
  return [Math.abs(before - after) === 1 ? "count-near" : "count-far"];
}

/** One text says more than the other. */
function additions({ out, in: put }: Change): ErrorType[] {
  if (out.length === 0) return more(put, "existence-add");
  if (put.length === 0) return more(out, "existence-omit");
  const grows = put.length > out.length && count(put, "thing") > count(out, "thing");
  return grows && !some(out, "relation") && !some(out, "action") ? ["existence-add"] : [];
}

/** A thing said more is another thing; a word said more of a thing that both name is an attribute of it. */
function more(said: readonly Said[], type: ErrorType): ErrorType[] {
  if (some(said, "thing")) return [type];
  if (some(said, "attribute")) return ["attribute", type];
  if (some(said, "action")) return ["action", type];
  return said.length > 0 ? [type] : [];
}

function replacements({ out, in: put }: Change): ErrorType[] {
  const changed = [...out, ...put];
  const says = (words: ReadonlySet<string>) => changed.some(({ word }) => words.has(word));
  const found: ErrorType[] = [];
  // What changes first decides: "birds flying" for "people walking" is another thing, which does what such things do.
  if (out[0]?.role === "thing" && put[0]?.role === "thing") found.push("identity");
  if (says(COMPARISON_WORDS)) found.push("comparison-inversion");
  if (says(TIME_WORDS)) found.push("temporal-order");
  if (some(changed, "relation")) found.push("position-inversion");
  if (some(changed, "action")) found.push("action");
  if (some(out, "thing") && some(put, "thing")) found.push("identity");
  if (some(changed, "attribute") || some(changed, "amount")) found.push("attribute");
  if (some(changed, "thing")) found.push("identity");
  return found;
}
