import { type EditRequest, type Refusal, refuse } from "../types.ts";
import { findWords, keepCase, normalise, type Word, wordsOf } from "../words.ts";

/** What a maker returns: wrong answers that are equally good at the level asked for, or why there is none. */
export type Made = readonly string[] | Refusal;
export type Maker = (request: EditRequest) => Made;

export interface Patch {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** `text` with each patch in its place, capitals kept. Patches must not overlap. */
export function patched(text: string, patches: readonly Patch[]): string {
  return [...patches]
    .sort((a, b) => b.start - a.start)
    .reduce(
      (done, p) => done.slice(0, p.start) + keepCase(text.slice(p.start, p.end), p.text) + done.slice(p.end),
      text,
    );
}

const VOWEL_SOUND = /^(?:[aeio]|u(?!ni|s[aeiu]|t[ei])|hour|honest|heir)/i;
const CONSONANT_SOUND = /^(?:one|once|eu)/i;

/** "a" or "an", as `word` asks for. */
export function articleFor(word: string): "a" | "an" {
  return VOWEL_SOUND.test(word) && !CONSONANT_SOUND.test(word) ? "an" : "a";
}

/** Patches that put `replacement` for word `at`, and mend an article right before it. */
export function replaceWord(words: readonly Word[], at: number, replacement: string): Patch[] {
  const word = words[at];
  if (!word) return [];
  const patches: Patch[] = [{ start: word.start, end: word.end, text: replacement }];
  const before = words[at - 1];
  if (before && (before.text === "a" || before.text === "an") && before.text !== articleFor(replacement)) {
    patches.push({ start: before.start, end: before.end, text: articleFor(replacement) });
  }
  return patches;
}

/** An answer of the form "SUBJECT is PREDICATE", or one that is all predicate. */
export interface Clause {
  readonly words: readonly Word[];
  /** The first word of the predicate. */
  readonly predicate: number;
  readonly copula: Word | undefined;
  /** The subject names one known thing: "the dog", "it". */
  readonly definite: boolean;
}

const COPULAS = new Set(["is", "are", "was", "were", "it's", "he's", "she's", "they're"]);
const DEFINITE = new Set(
  "the this that these those it it's he he's she she's they they're his her its their my your".split(" "),
);

const JOINS = new Set(["and", "but", "while", "whereas"]);
const RELATIVES = new Set(["that", "which", "who"]);

/** Where an answer's claim begins, after its last copula, and whether the subject of that claim is one known thing. */
export function clauseOf(answer: string): Clause {
  const words = findWords(answer);
  const at = words.findLastIndex((word) => COPULAS.has(word.text));
  const subject = words.findLastIndex((word, i) => {
    if (i > at) return false;
    const before = words[i - 1];
    return !before || JOINS.has(before.text) || /[.,;:!?]/.test(answer.slice(before.end, word.start));
  });
  const definite = DEFINITE.has(words[subject]?.text ?? "") && !RELATIVES.has(words[at - 1]?.text ?? "");
  return { words, predicate: at + 1, copula: words[at], definite: at >= 0 && definite };
}

const DENIALS = new Set(["not", "never", "neither", "nor", "none", "nothing", "nobody", "without", "cannot"]);

/** True if the answer denies something, or leaves a choice open: changing a value then need not make it false. */
export function deniesOrChooses(answer: string): boolean {
  return wordsOf(answer).some((word) => DENIALS.has(word) || word.endsWith("n't") || word === "or");
}

/** "Yes, ..." or "No, ...". */
export function saysYesOrNo(answer: string): boolean {
  return /^\s*(?:yes|no)\s*(?:[,.;:!–-]|$)/i.test(answer);
}

/** What right answers say: their words, and their texts joined with a bar between. */
interface Familiar {
  readonly words: ReadonlySet<string>;
  readonly text: string;
}
/** Lists of familiar answers are shared by many requests; each is read once. */
const READ = new WeakMap<readonly string[], Familiar>();

function read(answers: readonly string[]): Familiar {
  const known = READ.get(answers);
  if (known) return known;
  const familiar = { words: new Set(answers.flatMap(wordsOf)), text: `| ${answers.map(normalise).join(" | ")} |` };
  READ.set(answers, familiar);
  return familiar;
}

/**
 * The items that right answers would say: those whose text stands in one as it is (only if `phrases`), else those all of
 * whose words do, else all items.
 */
export function preferFamiliar<T>(
  { familiar, answer, question }: EditRequest,
  items: readonly T[],
  textOf: (item: T) => string,
  phrases = false,
): readonly T[] {
  if (!familiar || familiar.length === 0) return items;
  const { words, text } = read(familiar);
  const here = new Set([...wordsOf(answer), ...wordsOf(question)]);
  const said = phrases ? items.filter((item) => text.includes(` ${normalise(textOf(item))} `)) : [];
  if (said.length > 0) return said;
  const kept = items.filter((item) => wordsOf(textOf(item)).every((word) => words.has(word) || here.has(word)));
  return kept.length > 0 ? kept : items;
}

/** Items within this factor of the least distance are all near. */
const NEAR_FACTOR = 1.4;

/** At level 3 the nearest items; at level 2 the others, or all where all are equally near. */
export function atLevel<T>(items: readonly T[], level: number, distanceOf: (item: T) => number): readonly T[] {
  const least = Math.min(...items.map(distanceOf));
  const near = items.filter((item) => distanceOf(item) <= NEAR_FACTOR * least);
  if (level === 3) return near;
  const far = items.filter((item) => distanceOf(item) > NEAR_FACTOR * least);
  return far.length > 0 ? far : near;
}

export function noTarget(what: string): Refusal {
  return refuse("cannot.no-target", `The answer has no ${what} that can be changed.`);
}

export function uncertain(why: string): Refusal {
  return refuse("cannot.uncertain", `The edit might still be true: ${why}.`);
}
