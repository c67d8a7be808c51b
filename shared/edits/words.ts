/** A word of a text: `text` in lower case, `start` and `end` its place in characters. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Scripts that write no spaces count each character as a word. */
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[[\p{L}\p{N}\p{M}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]]+(?:(?:['’\-](?=[\p{L}\p{N}])|(?<=\p{N})[.,](?=\p{N}))[\p{L}\p{N}\p{M}]+)*/gv;

/** The words of a text with their places, in order. */
export function findWords(text: string): Word[] {
  return [...text.matchAll(WORD)].map((m) => ({
    text: m[0].toLowerCase().replaceAll("’", "'"),
    start: m.index,
    end: m.index + m[0].length,
  }));
}

/** The words of a text, in lower case. */
export function wordsOf(text: string): string[] {
  return findWords(text.normalize("NFC")).map((w) => w.text);
}

/** What two answers are compared by: words alone, without case, punctuation and spacing. */
export function normalise(text: string): string {
  return wordsOf(text).join(" ");
}

/** `replacement` with a capital where `original` has one. */
export function keepCase(original: string, replacement: string): string {
  return /^\p{Lu}/u.test(original) ? replacement.charAt(0).toUpperCase() + replacement.slice(1) : replacement;
}

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ["is", "be"],
  ["are", "be"],
  ["was", "be"],
  ["were", "be"],
  ["has", "have"],
  ["does", "do"],
  ["an", "a"],
  ["men", "man"],
  ["women", "woman"],
  ["people", "person"],
  ["children", "child"],
  ["feet", "foot"],
  ["mice", "mouse"],
]);

/** A rough stem under which singular and plural fall together: "There is one dog" is one word from "There are two dogs". */
export function uninflected(word: string): string {
  const known = IRREGULAR.get(word);
  if (known) return known;
  if (word.length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`;
  if (word.length > 4 && /(?:s|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  if (word.length > 3 && /[^s]s$/.test(word)) return word.slice(0, -1);
  return word;
}
