import { armCount, armOf } from "./arms.ts";
import type { Random } from "./random.ts";
import type { Outcome, Size } from "./world.ts";

/** A discounted Beta posterior for each arm, from the uniform prior (Raj and Kalyani 2017). */
export class DiscountedBeta {
  readonly #right: Float64Array;
  readonly #wrong: Float64Array;
  readonly #kept: number;

  /** @param kept part of the counts that is left after each step, in (0, 1] */
  constructor(arms: number, kept: number) {
    this.#right = new Float64Array(arms);
    this.#wrong = new Float64Array(arms);
    this.#kept = kept;
  }

  /** Time passes for every arm. */
  fade(): void {
    for (let arm = 0; arm < this.#right.length; arm++) {
      this.#right[arm] = this.#kept * (this.#right[arm] as number);
      this.#wrong[arm] = this.#kept * (this.#wrong[arm] as number);
    }
  }

  add(arm: number, right: number, wrong: number): void {
    this.#right[arm] = (this.#right[arm] as number) + right;
    this.#wrong[arm] = (this.#wrong[arm] as number) + wrong;
  }

  mean(arm: number): number {
    const [a, b] = this.#parameters(arm);
    return a / (a + b);
  }

  sample(arm: number, random: Random): number {
    return random.beta(...this.#parameters(arm));
  }

  #parameters(arm: number): [number, number] {
    return [1 + (this.#right[arm] as number), 1 + (this.#wrong[arm] as number)];
  }
}

/** Part of what was scored that is kept from round to round. */
const ROUND_KEPT = 0.8;

/** The accuracy of every arm of a world, as its scores show it. */
export class Accuracies extends DiscountedBeta {
  constructor(size: Size) {
    super(armCount(size), ROUND_KEPT);
  }

  learn(outcomes: readonly Outcome[]): void {
    this.fade();
    for (const outcome of outcomes) {
      const scored = outcome.attempted - outcome.refused;
      this.add(armOf(outcome), outcome.right, scored - outcome.right);
    }
  }
}
