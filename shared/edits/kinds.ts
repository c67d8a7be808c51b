import {
  COMPARISON_WORDS,
  familyOf,
  NEGATORS,
  NOUNS,
  RELATION_WORDS,
  TIME_WORDS,
  VAGUE_QUANTITIES,
  YES_NO,
} from "./lexicon.ts";
import { numberOf } from "./numbers.ts";

/** What a word says. `open` is any content word that the lexicon does not know. */
export type WordKind =
  | "function"
  | "number"
  | "quantity"
  | "polarity"
  | "relation"
  | "comparison"
  | "time"
  | "attribute"
  | "action"
  | "object"
  | "open";

const FUNCTION_WORDS = new Set(
  (
    "a an the this that these those is are was were be been being am has have had do does did can could will would " +
    "there it its it's there's they them their he she his her him i you we of to and or with for from who which what so " +
    "very just only"
  ).split(" "),
);

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ["men", "man"],
  ["women", "woman"],
  ["shelves", "shelf"],
  ["knives", "knife"],
  ["buses", "bus"],
  ["boxes", "box"],
]);

/** A noun of the lexicon in its singular, also from its plural. */
export function nounOf(word: string): { singular: string; plural: boolean } | undefined {
  if (NOUNS.has(word)) return { singular: word, plural: false };
  const candidates = [IRREGULAR.get(word), word.replace(/s$/, ""), word.replace(/es$/, "")];
  const singular = candidates.find((w) => w !== undefined && w !== word && NOUNS.has(w));
  return singular === undefined ? undefined : { singular, plural: true };
}

const isNegated = (word: string) => word.endsWith("n't");

/** Every kind that a word can be of, at least one: "orange" is an attribute, "as" is a comparison and no content. */
export function kindsOf(word: string): readonly WordKind[] {
  const kinds: WordKind[] = [];
  if (numberOf(word) !== undefined || word === "no") kinds.push("number");
  if (VAGUE_QUANTITIES.has(word)) kinds.push("quantity");
  if (YES_NO.has(word) || NEGATORS.has(word) || isNegated(word)) kinds.push("polarity");
  if (RELATION_WORDS.has(word)) kinds.push("relation");
  if (COMPARISON_WORDS.has(word)) kinds.push("comparison");
  if (TIME_WORDS.has(word)) kinds.push("time");
  const family = familyOf(word);
  if (family) kinds.push(family.kind);
  if (nounOf(word)) kinds.push("object");
  if (FUNCTION_WORDS.has(word)) kinds.push("function");
  if (kinds.length === 0 && word.includes("-")) return [...new Set(word.split("-").flatMap(kindsOf))];
  return kinds.length > 0 ? kinds : ["open"];
}

/** True if some of the words is of one of the kinds. */
export function someKind(words: readonly string[], ...kinds: readonly WordKind[]): boolean {
  return words.some((word) => kindsOf(word).some((kind) => kinds.includes(kind)));
}
