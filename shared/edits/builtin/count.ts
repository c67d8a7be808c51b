import { MAX_NUMBER_WORD, numberOf, numberWord } from "../numbers.ts";
import type { EditRequest } from "../types.ts";
import { findWords, type Word } from "../words.ts";
import { countedNoun, pluralOf, singularOf } from "./nouns.ts";
import {
  deniesOrChooses,
  type Made,
  noTarget,
  type Patch,
  patched,
  preferFamiliar,
  saysYesOrNo,
  uncertain,
} from "./text.ts";

/** Least and greatest difference from the right number. */
const REACH: Readonly<Record<string, readonly [number, number]>> = {
  "count-near/3": [1, 1],
  "count-far/2": [2, 3],
  "count-far/1": [4, 6],
};

/** An amount in the answer that can be changed. */
interface Amount {
  readonly at: number;
  readonly value: number;
  readonly digits: boolean;
  readonly noun: number;
  /** Verbs that agree with the amount. */
  readonly verbs: readonly number[];
  /** Whether one thing may become several, and back, without breaking the sentence. */
  readonly mayCross: boolean;
}

/** Other numbers for an answer that counts: "There is one dog." for "There are two dogs." */
export function editCount(request: EditRequest): Made {
  const { answer, errorType, level } = request;
  if (saysYesOrNo(answer)) return uncertain("a yes or no hangs on it");
  if (deniesOrChooses(answer)) return uncertain("the answer denies something or leaves a choice");
  const words = findWords(answer);
  // "There is a dog" means one dog only where dogs are counted.
  const amounts = findAmounts(answer, words).filter(({ at }) => request.task === "counting" || !isArticle(words[at]));
  if (amounts.length === 0) return noTarget("number of things");
  const [least, most] = REACH[`${errorType}/${level}`] ?? [1, 1];
  const edits = amounts.flatMap((amount) =>
    otherValues(amount.value, least, most).flatMap((value) => {
      const patches = amountPatches(words, amount, value);
      return patches ? [patched(answer, patches)] : [];
    }),
  );
  return edits.length > 0
    ? preferFamiliar(request, edits, String)
    : noTarget(`number that may be off by ${least} to ${most}`);
}

function otherValues(value: number, least: number, most: number): number[] {
  const steps = Array.from({ length: most - least + 1 }, (_, i) => least + i);
  return steps.flatMap((step) => [value + step, value - step]).filter((n) => n >= 0);
}

const BE = new Map([
  ["is", "are"],
  ["was", "were"],
  ["has", "have"],
  ["does", "do"],
]);
const SINGULAR_VERBS = new Set(BE.keys());
const PLURAL_VERBS = new Map([...BE].map(([one, many]) => [many, one]));
const isAgreeing = (word: Word | undefined) =>
  word !== undefined && (SINGULAR_VERBS.has(word.text) || PLURAL_VERBS.has(word.text));
const LIMITERS = new Set(["only", "exactly", "just"]);
/** After these an amount is an object: no verb agrees with it. */
const GOVERNORS = new Set(
  "see sees show shows contain contains has have with count counts counted hold holds".split(" "),
);
const RELATIVES = new Set(["that", "which", "who"]);
const REFERS_BACK = new Set("it its they them their he she his her both each either other another".split(" "));

const isArticle = (word: Word | undefined) => word?.text === "a" || word?.text === "an";

function findAmounts(text: string, words: readonly Word[]): Amount[] {
  return words.flatMap((_, at) => amountAt(text, words, at) ?? []);
}

function amountAt(text: string, words: readonly Word[], at: number): Amount | undefined {
  const word = words[at];
  const before = words[at - 1];
  if (!word) return undefined;
  const isNo = word.text === "no" && /^no\s+\p{L}/iu.test(text.slice(word.start));
  const isArticle =
    (word.text === "a" || word.text === "an") && /\bthere (?:is|was) $/i.test(text.slice(0, word.start));
  const value = isNo ? 0 : counts ? 1 : numberOf(word.text);
  // "the two dogs" and "number 41" name things, they do not count them.
  if (
    value === undefined ||
    ["the", "these", "those", "number", "no", "than", "about", "least", "most"].includes(before?.text ?? "")
  )
    return undefined;
  const noun = countedNoun(text, words, at, value !== 1);
  if (noun === undefined) return undefined;

  const limited = LIMITERS.has(before?.text ?? "");
  const governor = limited ? at - 2 : at - 1;
  const verbs: number[] = [];
  if (isAgreeing(words[governor]) && !GOVERNORS.has(words[governor]?.text ?? "")) verbs.push(governor);
  else if (governor < 0 && isAgreeing(words[noun + 1])) verbs.push(noun + 1);
  const agrees = verbs.length > 0 || GOVERNORS.has(words[governor]?.text ?? "");
  if (RELATIVES.has(words[noun + 1]?.text ?? "")) {
    if (isAgreeing(words[noun + 2])) verbs.push(noun + 2);
    else return { at, value, digits: /^\d/.test(word.text), noun, verbs, mayCross: false };
  }
  const rest = words.slice(noun + 1);
  const mayCross = agrees && !rest.some((w) => REFERS_BACK.has(w.text));
  return { at, value, digits: /^\d/.test(word.text), noun, verbs, mayCross };
}

/** The patches that turn an amount into `value`, agreement included, or undefined where that breaks the sentence. */
function amountPatches(words: readonly Word[], amount: Amount, value: number): Patch[] | undefined {
  const [number, noun] = [words[amount.at], words[amount.noun]];
  if (!number || !noun) return undefined;
  if (!amount.digits && value > MAX_NUMBER_WORD) return undefined;
  if (value === 0 && LIMITERS.has(words[amount.at - 1]?.text ?? "")) return undefined;
  const patches = [at(number, amount.digits ? String(value) : value === 0 ? "no" : numberWord(value))];
  const [wasOne, isOne] = [words[amount.at]?.text === "no" ? isSingular(noun) : amount.value === 1, value === 1];
  if (wasOne === isOne) return patches;
  if (!amount.mayCross) return undefined;
  const inflected = isOne ? singularOf(noun.text) : pluralOf(noun.text);
  for (const place of amount.verbs) {
    const verb = words[place];
    const form = verb && (isOne ? PLURAL_VERBS.get(verb.text) : BE.get(verb.text));
    if (verb && form) patches.push(at(verb, form));
  }
  return [...patches, at(noun, inflected)];
}

/** "no dog" stands in the singular, "no dogs" in the plural. */
function isSingular(noun: Word): boolean {
  return singularOf(noun.text) === noun.text && pluralOf(noun.text) !== noun.text;
}

function at(word: Word, text: string): Patch {
  return { start: word.start, end: word.end, text };
}
