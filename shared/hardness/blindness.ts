import { wordsOf } from "../edits/words.ts";

/** Log-odds below which a choice is a guess. What leaving a pair out of its own evidence does to a fair word stays below it. */
const GUESS = 0.25;
/** Pairs below which accuracy is mostly chance: so few are not judged. */
export const BLIND_MIN_PAIRS = 30;
/** Times that the most telling pairs are left out before the rest is given up. */
const PASSES = 8;

/** The words that tell a right answer from a wrong one; null where they were not kept. */
export interface Spanned {
  readonly id: string;
  readonly sourceId: string;
  readonly spanFrom: string | null;
  readonly spanTo: string | null;
}

/** How often the right answer is told without seeing the image. */
export interface Blindness {
  /** Share of the pairs; a guess counts half. */
  readonly accuracy: number;
  /** Pairs with spans. */
  readonly n: number;
}

/** One pair under a classifier that has not seen it: log-odds of its right answer, 0 for a guess. */
interface Told<P> {
  readonly pair: P;
  readonly margin: number;
}

/**
 * Which of two answers is the right one, by their changed words alone: naive Bayes on words (add-one), with what is longer as a word
 * of its own. Each pair is judged by the others alone (leave one source out): siblings of one source share their right answer.
 * Both answers are alternatives of one question, so either order gives the same choice, and as many are right as are wrong.
 */
export function blindness(pairs: readonly Spanned[]): Blindness {
  return accuracyOf(tell(pairs));
}

/**
 * The batch without the pairs that tell most, until its answers are told apart in at most `accuracyMax` of them. Leaving out is
 * better than refusing: a batch is telling because one kind of edit outweighs its reverse, and the rest of it is good. If what
 * stays is too small to be judged, nothing of it stays. Pairs without spans are neither judged nor left out.
 */
export function withoutTelling<P extends Spanned>(
  pairs: readonly P[],
  accuracyMax: number,
): { readonly kept: P[]; readonly blindness: Blindness } {
  let kept = [...pairs];
  for (let pass = 0; pass <= PASSES; pass++) {
    const told = tell(kept);
    const found = accuracyOf(told);
    const small = found.n < BLIND_MIN_PAIRS;
    if (small && pass > 0) break;
    if (small || found.accuracy <= accuracyMax) return { kept, blindness: found };
    const telling = mostTelling(told, found, accuracyMax);
    kept = kept.filter(({ id }) => !telling.has(id));
  }
  return { kept: kept.filter((pair) => !isSpanned(pair)), blindness: { accuracy: 0.5, n: 0 } };
}

/** As many as have to go if the others keep their margins. */
function mostTelling(told: readonly Told<Spanned>[], { accuracy, n }: Blindness, accuracyMax: number): Set<string> {
  const surplus = Math.ceil((accuracy * n - accuracyMax * n) / (1 - accuracyMax));
  const surest = told
    .filter(({ margin }) => margin > 0)
    .sort((a, b) => b.margin - a.margin || (a.pair.id < b.pair.id ? -1 : 1));
  return new Set(surest.slice(0, Math.max(1, surplus)).map(({ pair }) => pair.id));
}

function accuracyOf(told: readonly Told<Spanned>[]): Blindness {
  const right = told.reduce((sum, { margin }) => sum + (margin > 0 ? 1 : margin === 0 ? 0.5 : 0), 0);
  return { accuracy: told.length === 0 ? 0.5 : right / told.length, n: told.length };
}

function tell<P extends Spanned>(pairs: readonly P[]): Told<P>[] {
  const read = pairs.filter(isSpanned).map((pair) => ({ pair, ...tokensOf(pair) }));
  const all = new Counts();
  const own = new Map<string, Counts>();
  for (const { pair, right, wrong } of read) {
    const held = own.get(pair.sourceId) ?? new Counts();
    own.set(pair.sourceId, held);
    held.add(right, wrong);
    all.add(right, wrong);
  }
  return read.map(({ pair, right, wrong }) => {
    const held = own.get(pair.sourceId) ?? new Counts();
    const evidence = (word: string) => all.without(held, word);
    const margin = sumOf(right, evidence) - sumOf(wrong, evidence);
    return { pair, margin: Math.abs(margin) < GUESS ? 0 : margin };
  });
}

function isSpanned(pair: Spanned): boolean {
  return pair.spanFrom !== null && pair.spanTo !== null;
}

/** The words of both answers; words that both have say nothing. */
function tokensOf({ spanFrom, spanTo }: Spanned): { right: string[]; wrong: string[] } {
  const [from, to] = [wordsOf(spanFrom ?? ""), wordsOf(spanTo ?? "")];
  const [right, wrong] = [new Set(from), new Set(to)];
  const longer = from.length > to.length ? right : from.length < to.length ? wrong : null;
  longer?.add("<longer>");
  return {
    right: [...right].filter((word) => !to.includes(word)),
    wrong: [...wrong].filter((word) => !from.includes(word)),
  };
}

function sumOf(words: readonly string[], evidence: (word: string) => number): number {
  return words.reduce((sum, word) => sum + evidence(word), 0);
}

/** In how many right and wrong answers each word stands. */
class Counts {
  readonly #right = new Map<string, number>();
  readonly #wrong = new Map<string, number>();

  add(right: readonly string[], wrong: readonly string[]): void {
    for (const word of right) this.#right.set(word, (this.#right.get(word) ?? 0) + 1);
    for (const word of wrong) this.#wrong.set(word, (this.#wrong.get(word) ?? 0) + 1);
  }

  /** The log-odds that an answer with this word is right, by all pairs but those of a part. There are as many wrong as right ones. */
  without(held: Counts, word: string): number {
    const right = (this.#right.get(word) ?? 0) - (held.#right.get(word) ?? 0);
    const wrong = (this.#wrong.get(word) ?? 0) - (held.#wrong.get(word) ?? 0);
    return Math.log((right + 1) / (wrong + 1));
  }
}
