import { levelOf, sigmoid } from "../../shared/hardness/ability.ts";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";
import type { Level } from "../../shared/taxonomy/taxonomy.ts";

/** What a pair is in truth, which nothing that decides can see. */
export const KINDS = ["clean", "flip", "null"] as const;
export type Kind = (typeof KINDS)[number];

/** What is assumed of models and pairs. */
export interface World {
  readonly name: string;
  /** Predicted accuracy at which pairs are ordered. */
  readonly aim: number;
  /** Mean and deviation of the regions' ability at first, logits. */
  readonly ability: readonly [number, number];
  /** Rise of ability that a promoted round brings a region whose pairs teach most, logits. */
  readonly learning: number;
  /** Mean push of a pair's own gap by training on it, nats, whether it is right or not. */
  readonly memory: number;
  /** Deviation by which a new model moves each pair's gap, nats. */
  readonly drift: number;
  /** Share of right pairs whose difficulty is three times as far from their region's. */
  readonly odd: number;
  /** Whether a round scores all pairs that are not at rest, or those that a batch would hold. */
  readonly scored: "all" | "drawn";
}

/** A pair with its truth. Gaps are nats. */
export interface TruePair {
  readonly id: string;
  readonly kind: Kind;
  readonly region: number;
  readonly level: Level;
  /** Its own ease against its region and level, logits. */
  readonly ease: number;
  /** What trainings on it and changes of the model have added. */
  shift: number;
}

export interface TrueRegion {
  ability: number;
  /** Nats of gap per logit. */
  readonly scale: number;
}

/** Part of what was memorised that a promoted round leaves. */
const KEPT = 0.85;
/** Trained pairs of a region from which its ability rises by all that a round can give. */
const FULL_LESSON = 30;
const SHARES = { flip: 0.04, null: 0.06 } as const;

/** Numbers that a seed decides. */
export class Dice {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  below(p: number): boolean {
    return this.#random() < p;
  }

  between(least: number, most: number): number {
    return least + (most - least) * this.#random();
  }

  /** By Box and Muller. */
  normal(mean: number, deviation: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.#random());
  }

  /** Standard logistic: with it, P(gap > 0) is exactly sigmoid(ability - difficulty). */
  logistic(): number {
    const u = this.between(1e-9, 1 - 1e-9);
    return Math.log(u / (1 - u));
  }
}

export function newRegion({ ability: [mean, deviation] }: World, dice: Dice): TrueRegion {
  return { ability: dice.normal(mean, deviation), scale: dice.between(1.3, 2.4) };
}

export function newPair(id: string, region: number, level: Level, world: World, dice: Dice): TruePair {
  const draw = dice.between(0, 1);
  const kind = draw < SHARES.flip ? "flip" : draw < SHARES.flip + SHARES.null ? "null" : "clean";
  const ease = dice.logistic() * (kind === "clean" && dice.below(world.odd) ? 3 : 1);
  return { id, kind, region, level, ease, shift: 0 };
}

/** The gap under the present model: the region's skill speaks for a right pair, against a flipped one, and not at all about a null. */
export function gapOf(pair: TruePair, { ability, scale }: TrueRegion): number {
  const logits = ability - levelOf(START_DIFFICULTY, pair.level) + pair.ease;
  const skill = { clean: logits, flip: -logits, null: pair.ease }[pair.kind];
  return scale * skill + pair.shift;
}

/** A promoted round: regions learn of the right pairs among those trained on, every pair drifts, those trained on are memorised. */
export function promote(
  pairs: readonly TruePair[],
  trained: ReadonlySet<TruePair>,
  regions: readonly TrueRegion[],
  world: World,
  dice: Dice,
): void {
  for (const [index, region] of regions.entries()) {
    const own = [...trained].filter((pair) => pair.region === index);
    const lesson = own.reduce((sum, pair) => sum + teaching(pair, region), 0) / Math.max(FULL_LESSON, own.length);
    region.ability += world.learning * lesson;
  }
  for (const pair of pairs) {
    pair.shift = KEPT * pair.shift + dice.normal(0, world.drift);
    // Exponential: a few are learned by heart, most are hardly touched.
    if (trained.has(pair)) pair.shift -= world.memory * Math.log(1 - dice.between(0, 1));
  }
}

/** Between -1 and 1: a right pair teaches most where right and wrong are even, a flipped one unteaches as much. */
function teaching({ kind, level }: TruePair, { ability }: TrueRegion): number {
  const p = sigmoid(ability - levelOf(START_DIFFICULTY, level));
  return { clean: 1, flip: -1, null: 0 }[kind] * 4 * p * (1 - p);
}
