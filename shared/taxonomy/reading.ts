import { findWords, uninflected } from "../edits/words.ts";
import { classOf, type WordClass } from "./vocabulary.ts";

/** How much of a text is read, in characters and in words; a difference further on is not looked for. */
const MAX_CHARS = 4_000;
const MAX_WORDS = 200;

/** The words of a text in lower case, and after which of them its punctuation stops. */
export interface Wording {
  readonly words: readonly string[];
  readonly stops: readonly boolean[];
}

/** A word that says something, with what it does where it stands. */
export interface Said {
  readonly word: string;
  /** By which it is the same word in the singular and in the plural. */
  readonly stem: string;
  readonly role: WordClass;
}

const STOPS = new Set(",.;:!?");
/** What `findWords` finds in ASCII, at a tenth of the cost. */
const ASCII_WORD = /[a-z\d]+(?:(?:['-](?=[a-z\d])|(?<=\d)[.,](?=\d))[a-z\d]+)*/g;

/** The first words of a text. */
export function wordingOf(whole: string): Wording {
  const text = whole.slice(0, MAX_CHARS);
  const words: string[] = [];
  const stops: boolean[] = [];
  const add = (word: string, next: string) => {
    words.push(word);
    stops.push(STOPS.has(next));
  };
  if (!/[^\s -~]/.test(text)) {
    const lower = text.toLowerCase();
    for (const match of lower.matchAll(ASCII_WORD)) {
      if (words.length === MAX_WORDS) break;
      add(match[0], lower.charAt(match.index + match[0].length));
    }
  } else {
    const composed = text.normalize("NFC");
    for (const word of findWords(composed).slice(0, MAX_WORDS)) add(word.text, composed.charAt(word.end));
  }
  return { words, stops };
}

/** "Dogs, a cat" and "dogs and a cat" list the same. */
const LISTING = new Set(["and", "or"]);

/**
 * Reads the words from `start` to before `end` of an English description: those that say something, in order. There is no grammar
 * behind it: a word's role hangs on the words beside it alone.
 */
export function read({ words, stops }: Wording, start: number, end: number): Said[] {
  const said: Said[] = [];
  // Backwards, because a word's role hangs on the role of the next one; the word at `end` is there for the last.
  let next: WordClass | undefined;
  for (let i = Math.min(end, words.length - 1); i >= start; i--) {
    const word = words[i] ?? "";
    if (stops[i]) next = undefined;
    const role = roleOf(word, words[i - 1], next);
    if (i < end && role !== "filler" && !LISTING.has(word)) said.push({ word, stem: uninflected(word), role });
    next = role;
  }
  return said.reverse();
}

const ARTICLES = new Set(["a", "an", "the"]);
const DETERMINERS = new Set([...ARTICLES, ..."his her its their this that some two three four five no".split(" ")]);
const COPULAS = new Set("is are was were be looks look seems".split(" "));

function roleOf(word: string, before: string | undefined, next: WordClass | undefined): WordClass {
  const own = classOf(word);
  if (own === "thing") return roleOfThing(word, before, next);
  if (own === "action") return roleOfAction(word, before, next);
  if (own === "attribute") return roleOfAttribute(before, next);
  return own;
}

const isNaming = (role: WordClass | undefined) => role === "thing" || role === "attribute";

/** A noun before a noun tells of it: "a stop sign", "a glass table". */
function roleOfThing(word: string, before: string | undefined, next: WordClass | undefined): WordClass {
  if (tells(before, next)) return "attribute";
  const isSaidOf = before !== undefined && COPULAS.has(before) && /(?:y|ed|ful|less|ous|ish)$/.test(word);
  return isSaidOf ? "attribute" : "thing";
}

/** "A glowing ball" and "the plant" are no actions. */
function roleOfAction(word: string, before: string | undefined, next: WordClass | undefined): WordClass {
  const isParticiple = /(?:ing|ed)$/.test(word);
  if (before === undefined) return word.endsWith("ed") && isNaming(next) ? "attribute" : "action";
  const left = classOf(before);
  if (isDeterminer(before) || left === "attribute") return tells(before, next) ? "attribute" : "thing";
  if (isParticiple) return "action";
  if (left === "relation" || left === "action" || before === "with") return "thing";
  return "action";
}

/** "An orange" and "a traffic light" are things. */
function roleOfAttribute(before: string | undefined, next: WordClass | undefined): WordClass {
  if (isNaming(next) || next === "link" || before === undefined) return "attribute";
  return ARTICLES.has(before) || classOf(before) === "thing" ? "thing" : "attribute";
}

const isDeterminer = (word: string) => DETERMINERS.has(word) || word.endsWith("'s");

/** True where the next word is what this one tells of: "woolly hats", "a woolly pair of hats". */
function tells(before: string | undefined, next: WordClass | undefined): boolean {
  return isNaming(next) || (next === "amount" && before !== undefined && isDeterminer(before));
}
