import { MAX_NUMBER_WORD, numberWord } from "../numbers.ts";
import type { EditRequest } from "../types.ts";
import { findWords, type Word } from "../words.ts";
import { type Amount, findAmounts, PLURAL_VERBS, SINGULAR_VERBS } from "./amounts.ts";
import { isPlural, pluralOf, singularOf } from "./nouns.ts";
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

/** Other numbers for an answer that counts: "There is one dog." for "There are two dogs." */
export function editCount(request: EditRequest): Made {
  const { answer, task, errorType, level } = request;
  if (saysYesOrNo(answer)) return uncertain("a yes or no hangs on it");
  if (deniesOrChooses(answer)) return uncertain("the answer denies something or leaves a choice");
  const words = findWords(answer);
  // "There is a dog" means one dog only where dogs are counted.
  const amounts = findAmounts(answer, words).filter(({ style }) => task === "counting" || style !== "article");
  if (amounts.length === 0) return noTarget("number of things");
  const [least, most] = REACH[`${errorType}/${level}`] ?? [1, 1];
  const edits = amounts.flatMap((amount) =>
    otherValues(amount.value, least, most).flatMap((value) => {
      const patches = amountPatches(words, amount, value);
      return patches ? [patched(answer, patches)] : [];
    }),
  );
  if (edits.length === 0) return noTarget(`number that may be off by ${least} to ${most}`);
  return preferFamiliar(request, edits, String);
}

function otherValues(value: number, least: number, most: number): number[] {
  const steps = Array.from({ length: most - least + 1 }, (_, i) => least + i);
  return steps.flatMap((step) => [value + step, value - step]).filter((n) => n >= 0);
}

/** The patches that turn an amount into `value`, agreement included, or undefined where that breaks the sentence. */
function amountPatches(words: readonly Word[], amount: Amount, value: number): Patch[] | undefined {
  const [number, noun] = [words[amount.at], words[amount.noun]];
  if (!number || !noun) return undefined;
  if (value === 0 && amount.limited) return undefined;
  if (amount.style !== "digits" && value > MAX_NUMBER_WORD) return undefined;
  const patches = [at(number, amount.style === "digits" ? String(value) : value === 0 ? "no" : numberWord(value))];
  const [wasOne, isOne] = [amount.value === 0 ? isSingular(words, amount) : amount.value === 1, value === 1];
  if (wasOne === isOne) return patches;
  if (!amount.mayCross) return undefined;
  for (const place of amount.verbs) {
    const verb = words[place];
    const form = (isOne ? SINGULAR_VERBS : PLURAL_VERBS).get(verb?.text ?? "");
    if (verb && form) patches.push(at(verb, form));
  }
  return [...patches, at(noun, isOne ? singularOf(noun.text) : pluralOf(noun.text))];
}

/** "no dog" stands in the singular, "no dogs" in the plural, and of "no sheep" the verb tells. */
function isSingular(words: readonly Word[], { noun, verbs }: Amount): boolean {
  const verb = verbs.map((place) => words[place]?.text ?? "").find((text) => text !== "");
  return verb === undefined ? !isPlural(words[noun]?.text ?? "") : PLURAL_VERBS.has(verb);
}

function at({ start, end }: Word, text: string): Patch {
  return { start, end, text };
}
