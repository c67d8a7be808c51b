const SMALL = [
  "zero",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
  "twelve",
  "thirteen",
  "fourteen",
  "fifteen",
  "sixteen",
  "seventeen",
  "eighteen",
  "nineteen",
  "twenty",
] as const;
const VALUES: ReadonlyMap<string, number> = new Map([
  ...SMALL.map((word, n) => [word, n] as const),
  ["thirty", 30],
  ["forty", 40],
  ["fifty", 50],
  ["hundred", 100],
]);

/** Above this a number is written in digits, and is hardly a count of things in a picture. */
export const MAX_NUMBER_WORD = SMALL.length - 1;

/** The whole number that a word or a run of digits means; undefined where it is none. "no" is not a number here. */
export function numberOf(word: string): number | undefined {
  return /^\d{1,6}$/.test(word) ? Number(word) : VALUES.get(word);
}

/** `n` in words, or in digits from 21 on. */
export function numberWord(n: number): string {
  return SMALL[n] ?? String(n);
}
