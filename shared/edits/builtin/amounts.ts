import { numberOf } from "../numbers.ts";
import type { Word } from "../words.ts";
import { countedNoun } from "./nouns.ts";

/** An amount that a text gives of some things: "two yellow circles". Places are of words. */
export interface Amount {
  readonly at: number;
  readonly value: number;
  readonly style: "digits" | "word" | "article";
  /** The noun that is counted. */
  readonly noun: number;
  /** Verbs that agree with the amount. */
  readonly verbs: readonly number[];
  /** Whether one thing may become several, and back, without breaking the sentence. */
  readonly mayCross: boolean;
  /** "only two": no amount of nothing can follow. */
  readonly limited: boolean;
}

/** Verb forms that agree, singular to plural. */
export const PLURAL_VERBS: ReadonlyMap<string, string> = new Map([
  ["is", "are"],
  ["was", "were"],
  ["has", "have"],
  ["does", "do"],
]);
export const SINGULAR_VERBS: ReadonlyMap<string, string> = new Map([...PLURAL_VERBS].map(([one, many]) => [many, one]));

const LIMITERS = new Set(["only", "exactly", "just"]);
/** After these a number names a thing ("the two dogs", "number 41") or bounds it ("at least two"). */
const NO_COUNT_AFTER = new Set(["the", "these", "those", "number", "no", "than", "about", "least", "most"]);
/** After these an amount is an object: no verb agrees with it. */
const GOVERNORS = new Set("see sees show shows contain contains has have with count counts hold holds".split(" "));
const RELATIVES = new Set(["that", "which", "who"]);
const REFERS_BACK = new Set("it its they them their he she his her both each either other another".split(" "));

/** Every amount of a text, in order. */
export function findAmounts(text: string, words: readonly Word[]): Amount[] {
  return words.flatMap((word, at) => {
    const said = saidBy(text, word);
    if (!said || NO_COUNT_AFTER.has(words[at - 1]?.text ?? "")) return [];
    const noun = countedNoun(text, words, at, said.value !== 1);
    return noun === undefined ? [] : [{ at, ...said, noun, ...agreement(words, at, noun) }];
  });
}

function saidBy(text: string, { text: word, start }: Word): Pick<Amount, "value" | "style"> | undefined {
  const number = numberOf(word);
  if (number !== undefined) return { value: number, style: /^\d/.test(word) ? "digits" : "word" };
  // "no dogs" counts, "No, ..." answers.
  if (word === "no" && /^no\s+\p{L}/iu.test(text.slice(start))) return { value: 0, style: "word" };
  const isOne = (word === "a" || word === "an") && /\bthere (?:is|was) $/i.test(text.slice(0, start));
  return isOne ? { value: 1, style: "article" } : undefined;
}

/** Which verbs agree with the amount, and whether its number may change at all. */
function agreement(words: readonly Word[], at: number, noun: number): Pick<Amount, "verbs" | "mayCross" | "limited"> {
  const textAt = (place: number) => words[place]?.text ?? "";
  const agrees = (place: number) => PLURAL_VERBS.has(textAt(place)) || SINGULAR_VERBS.has(textAt(place));
  const limited = LIMITERS.has(textAt(at - 1));
  const before = limited ? at - 2 : at - 1;
  const verbs: number[] = [];
  if (before < 0 && agrees(noun + 1)) verbs.push(noun + 1);
  if (agrees(before) && !GOVERNORS.has(textAt(before))) verbs.push(before);
  let mayCross = verbs.length > 0 || GOVERNORS.has(textAt(before));
  if (RELATIVES.has(textAt(noun + 1))) {
    if (agrees(noun + 2)) verbs.push(noun + 2);
    else mayCross = false;
  }
  if (words.slice(noun + 1).some((word) => REFERS_BACK.has(word.text))) mayCross = false;
  return { verbs, mayCross, limited };
}
