import nlp from "compromise/two";
import { kindsOf } from "../kinds.ts";
import type { Word } from "../words.ts";

/** The part of the library's method table that inflects nouns; its types leave it open. */
interface Inflection {
  readonly two: {
    readonly transform: {
      readonly noun: { toPlural(word: string, model: object): string; toSingular(word: string, model: object): string };
    };
  };
}
const { noun } = (nlp.methods() as Inflection).two.transform;
const model = nlp.model();

/** Endings that are as likely a singular's own: "bus", "dress", "gas". */
const DOUBTFUL_ENDING = /[suia]s$/;

/** True for a noun in the plural; false for one that has none, like "sheep". */
export function isPlural(word: string): boolean {
  const singular = noun.toSingular(word, model);
  if (singular === word || noun.toPlural(singular, model) !== word) return false;
  return !DOUBTFUL_ENDING.test(word) || nlp(word).has("#Plural");
}

/** The plural of a noun, or the noun if it is one. */
export function pluralOf(word: string): string {
  return isPlural(word) ? word : noun.toPlural(word, model);
}

/** The singular of a noun, or the noun if it is one. */
export function singularOf(word: string): string {
  return isPlural(word) ? noun.toSingular(word, model) : word;
}

/** Longest noun phrase that is looked through, in words. */
const MAX_PHRASE_WORDS = 6;
const ENDS_PHRASE = new Set(["function", "relation", "polarity", "comparison", "time"]);

/**
 * The place of the noun that the amount at `at` counts ("two yellow circles on it": "circles"), or undefined.
 * `plural` says in which number the noun stands.
 */
export function countedNoun(text: string, words: readonly Word[], at: number, plural: boolean): number | undefined {
  let end = at + 1;
  while (end < words.length && end <= at + MAX_PHRASE_WORDS) {
    const [before, word] = [words[end - 1], words[end]];
    if (!before || !word || /[^\s]/.test(text.slice(before.end, word.start))) break;
    if (kindsOf(word.text).some((kind) => ENDS_PHRASE.has(kind))) break;
    end++;
  }
  const phrase = words.slice(at + 1, end);
  if (phrase.length === 0) return undefined;
  if (phrase.slice(0, -1).every((word) => kindsOf(word.text).includes("attribute"))) return end - 1;
  return (
    at +
    1 +
    headOf(
      phrase.map((word) => word.text),
      plural,
    )
  );
}

/** The head of a phrase of several words: the first plural noun, or the last of the first nouns in a row. */
function headOf(phrase: readonly string[], plural: boolean): number {
  const terms = nlp(phrase.join(" ")).terms().json() as { terms: { tags: string[] }[] }[];
  const has = (i: number, tag: string) => terms[i]?.terms[0]?.tags.includes(tag) ?? false;
  const places = phrase.map((_, i) => i);
  const firstPlural = plural ? places.find((i) => has(i, "Plural")) : undefined;
  if (firstPlural !== undefined) return firstPlural;
  const first = places.find((i) => has(i, "Noun"));
  if (first === undefined) return phrase.length - 1;
  let last = first;
  while (has(last + 1, "Noun")) last++;
  return last;
}

/** True if the noun means a mass, which has no plural: "water". */
export function isMass(word: string): boolean {
  return nlp(word).has("#Uncountable");
}
