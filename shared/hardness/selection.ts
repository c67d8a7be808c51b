import type { BatchPolicy } from "../contracts/policy.ts";
import { POLARITY_SLACK_PAIRS } from "./allotment.ts";
import type { Polarity } from "./batch.ts";
import { type Blindness, type Spanned, withoutTelling } from "./blindness.ts";

/** Times that caps on the whole batch are tried to hold together. */
const PASSES = 8;

/** A pair that could be of the batch, with what a batch must know of it. */
export interface Candidate extends Spanned {
  readonly region: string;
  readonly polarity: Polarity;
  /** The first image that it shows. */
  readonly image: string | null;
  /** How its question begins. */
  readonly template: string | null;
}

/** A quota and the pairs to fill it with, in the order in which they are to be taken; more of them than the quota leave a choice. */
export interface Head<C> {
  readonly quota: number;
  readonly candidates: readonly C[];
}

export type SelectionPolicy = Pick<
  BatchPolicy,
  "pairsPerImage" | "templateCapShare" | "blindAccuracyMax" | "duplicateShareMax"
>;

/** What was taken, and what was left out although its quota had room. */
export interface Selection<C> {
  readonly pairs: readonly C[];
  readonly blindness: Blindness;
  /** The pairs that are counted below. */
  readonly dropped: readonly C[];
  readonly leftOut: {
    /** Because their image or the beginning of their question is in the batch often enough. */
    readonly capped: number;
    /** Because another pair says the same. */
    readonly duplicate: number;
    /** Because their words give the answer away. */
    readonly telling: number;
    /** Because there is too little of the other answer, yes or no. */
    readonly unbalanced: number;
  };
}

/**
 * Fills the quotas. All are walked at once, each at a pace in proportion to its length; who is taken brings its siblings of one
 * source along, as far as they are candidates and their quota has room: the trainer reads image and question once for all of them.
 * No image and no beginning of a question is taken above its cap, and no more pairs that say the same than allowed. Then the
 * pairs that tell most without the image go, and in every task those by which one of yes and no outnumbers the other.
 */
export function selectPairs<C extends Candidate>(heads: readonly Head<C>[], policy: SelectionPolicy): Selection<C> {
  const filling = new Filling<C>(heads, policy);
  for (const { candidate, head } of atOnePace(heads)) filling.takeWithSiblings(candidate, head);
  const { taken, capped, duplicate } = filling;
  const without = (kept: readonly C[]): C[] => {
    const stays = new Set(kept);
    return [...filling.dropped, ...taken.filter((pair) => !stays.has(pair))];
  };

  let pairs = taken;
  let blindness: Blindness = { accuracy: 0.5, n: 0 };
  const leftOut = { capped, duplicate, telling: 0, unbalanced: 0 };
  // What one rule takes away can break the other.
  for (let pass = 0; pass < PASSES; pass++) {
    const told = withoutTelling(pairs, policy.blindAccuracyMax);
    const balanced = balance(told.kept);
    leftOut.telling += pairs.length - told.kept.length;
    leftOut.unbalanced += told.kept.length - balanced.length;
    blindness = told.blindness;
    pairs = balanced;
    if (balanced.length === told.kept.length) return { pairs, blindness, dropped: without(pairs), leftOut };
  }
  leftOut.telling += pairs.length;
  return { pairs: [], blindness, dropped: without([]), leftOut };
}

interface Entry<C> {
  readonly candidate: C;
  readonly head: number;
}

function atOnePace<C extends Candidate>(heads: readonly Head<C>[]): Entry<C>[] {
  return heads
    .flatMap(({ quota, candidates }, head) =>
      candidates.map((candidate, i) => ({ candidate, head, place: (i + 0.5) / Math.max(1, quota) })),
    )
    .sort((a, b) => a.place - b.place || (a.candidate.id < b.candidate.id ? -1 : 1));
}

/** What was taken so far, and the room that is left. */
class Filling<C extends Candidate> {
  readonly taken: C[] = [];
  readonly dropped: C[] = [];
  capped = 0;
  duplicate = 0;
  readonly #left: number[];
  readonly #siblings: Map<string, Entry<C>[]>;
  readonly #seen = new Set<string>();
  readonly #images = new Tally();
  readonly #templates = new Tally();
  readonly #texts = new Tally();
  readonly #limits: { readonly image: number; readonly template: number };
  #duplicatesLeft: number;

  constructor(heads: readonly Head<C>[], policy: SelectionPolicy) {
    this.#left = heads.map(({ quota }) => quota);
    const entries = heads.flatMap(({ candidates }, head) => candidates.map((candidate) => ({ candidate, head })));
    this.#siblings = Map.groupBy(entries, ({ candidate }) => candidate.sourceId);
    const size = heads.reduce((sum, { quota, candidates }) => sum + Math.min(quota, candidates.length), 0);
    const templates = new Set(entries.flatMap(({ candidate: { template } }) => template ?? [])).size;
    this.#limits = {
      image: policy.pairsPerImage,
      template: templateCap(size, templates, policy.templateCapShare),
    };
    this.#duplicatesLeft = Math.floor(policy.duplicateShareMax * size);
  }

  takeWithSiblings(candidate: C, head: number): void {
    if (!this.#take(candidate, head)) return;
    for (const sibling of this.#siblings.get(candidate.sourceId) ?? []) this.#take(sibling.candidate, sibling.head);
  }

  #take(candidate: C, head: number): boolean {
    const left = this.#left[head] ?? 0;
    if (left === 0 || this.#seen.has(candidate.id)) return false;
    this.#seen.add(candidate.id);
    const { image, template } = candidate;
    if (this.#images.of(image) >= this.#limits.image || this.#templates.of(template) >= this.#limits.template) {
      this.capped += 1;
      this.dropped.push(candidate);
      return false;
    }
    const text = textOf(candidate);
    if (this.#texts.of(text) > 0) {
      if (this.#duplicatesLeft === 0) {
        this.duplicate += 1;
        this.dropped.push(candidate);
        return false;
      }
      this.#duplicatesLeft -= 1;
    }
    this.#images.add(image);
    this.#templates.add(template);
    this.#texts.add(text);
    this.#left[head] = left - 1;
    this.taken.push(candidate);
    return true;
  }
}

/** The largest number of pairs of a batch of `size` whose questions begin alike; an equal part for each beginning is always allowed. */
export function templateCap(size: number, templates: number, share: number): number {
  return Math.ceil(size * Math.max(share, 1 / Math.max(1, templates)));
}

/** What pairs that say the same have in common; null where it is not known. */
function textOf({ image, template, spanFrom, spanTo }: Candidate): string | null {
  return spanFrom === null || spanTo === null ? null : JSON.stringify([image, template, spanFrom, spanTo]);
}

/** In every task, the last ones go by which one answer outnumbers the other. */
function balance<C extends Candidate>(pairs: readonly C[]): C[] {
  const counts = new Tally();
  const sideOf = (pair: C, polarity: "yes" | "no") => `${pair.region.slice(0, pair.region.indexOf("/"))}/${polarity}`;
  for (const pair of pairs) if (pair.polarity !== null) counts.add(sideOf(pair, pair.polarity));
  const seen = new Tally();
  return pairs.filter((pair) => {
    if (pair.polarity === null) return true;
    const [mine, others] = [sideOf(pair, pair.polarity), sideOf(pair, pair.polarity === "yes" ? "no" : "yes")];
    seen.add(mine);
    return seen.of(mine) <= counts.of(others) + POLARITY_SLACK_PAIRS;
  });
}

/** Counts by name; what has no name is never counted. */
class Tally {
  readonly #counts = new Map<string, number>();

  of(name: string | null): number {
    return name === null ? 0 : (this.#counts.get(name) ?? 0);
  }

  add(name: string | null): void {
    if (name !== null) this.#counts.set(name, this.of(name) + 1);
  }
}
