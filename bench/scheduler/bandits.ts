import { DiscountedBeta } from "../../shared/hardness/simulator/posterior.ts";
import type { Random } from "../../shared/hardness/simulator/random.ts";

/**
 * Problem 1 of Besson, Kaufmann, Maillard and Seznec ("Efficient change-point detection for tackling piecewise-stationary
 * bandits", as SMPyBandits has it): three Bernoulli arms, one of which changes after each fifth of the time.
 */
export const PROBLEM_1: readonly (readonly number[])[] = [
  [0.3, 0.5, 0.9],
  [0.3, 0.2, 0.9],
  [0.3, 0.2, 0.1],
  [0.7, 0.2, 0.1],
  [0.7, 0.5, 0.1],
];
export const HORIZON = 5_000;

export interface Bandit {
  choose(random: Random): number;
  learn(arm: number, reward: 0 | 1): void;
}

/** Expected reward that a bandit missed, against the best arm at each time. */
export function regretOf(
  bandit: Bandit,
  problem: readonly (readonly number[])[],
  horizon: number,
  random: Random,
): number {
  let regret = 0;
  for (let t = 0; t < horizon; t++) {
    const means = problem[Math.floor((t * problem.length) / horizon)] ?? [];
    const arm = bandit.choose(random);
    const mean = means[arm] ?? 0;
    regret += Math.max(...means) - mean;
    bandit.learn(arm, random.uniform() < mean ? 1 : 0);
  }
  return regret;
}

/** Thompson sampling where what was seen fades with every step; `kept` is what is left of it. */
export class DiscountedThompson implements Bandit {
  readonly #posterior: DiscountedBeta;
  readonly #arms: readonly number[];

  constructor(arms: number, kept: number) {
    this.#posterior = new DiscountedBeta(arms, kept);
    this.#arms = Array.from({ length: arms }, (_, arm) => arm);
  }

  choose(random: Random): number {
    return largest(this.#arms.map((arm) => this.#posterior.sample(arm, random)));
  }

  learn(arm: number, reward: 0 | 1): void {
    this.#posterior.fade();
    this.#posterior.add(arm, reward, 1 - reward);
  }
}

/** kl-UCB on the last `window` steps (Garivier and Moulines 2011, with the index of Garivier and Cappé 2011). */
export class SlidingWindowKlUcb implements Bandit {
  readonly #window: number;
  readonly #last: { readonly arm: number; readonly reward: number }[] = [];
  readonly #pulls: number[];
  readonly #rewards: number[];
  #time = 0;

  constructor(arms: number, window: number) {
    this.#window = window;
    this.#pulls = Array(arms).fill(0);
    this.#rewards = Array(arms).fill(0);
  }

  choose(random: Random): number {
    const untried = this.#pulls.flatMap((pulls, arm) => (pulls === 0 ? arm : []));
    if (untried.length > 0) return untried[random.below(untried.length)] ?? 0;
    const level = Math.log(Math.min(this.#time, this.#window));
    return largest(this.#pulls.map((pulls, arm) => upperBound((this.#rewards[arm] ?? 0) / pulls, level / pulls)));
  }

  learn(arm: number, reward: 0 | 1): void {
    this.#time++;
    this.#count({ arm, reward }, 1);
    this.#last.push({ arm, reward });
    const gone = this.#last.length > this.#window ? this.#last.shift() : undefined;
    if (gone) this.#count(gone, -1);
  }

  #count({ arm, reward }: { readonly arm: number; readonly reward: number }, sign: 1 | -1): void {
    this.#pulls[arm] = (this.#pulls[arm] ?? 0) + sign;
    this.#rewards[arm] = (this.#rewards[arm] ?? 0) + sign * reward;
  }
}

/** The window of Garivier and Moulines for a horizon with so many stationary pieces. */
export function windowFor(horizon: number, pieces: number): number {
  return Math.floor(2 * Math.sqrt((horizon * Math.log(horizon)) / pieces));
}

/** The largest q with kl(p, q) <= level, by bisection. */
function upperBound(p: number, level: number): number {
  let [low, high] = [p, 1];
  while (high - low > 1e-4) {
    const q = (low + high) / 2;
    if (divergence(p, q) > level) high = q;
    else low = q;
  }
  return low;
}

/** Kullback and Leibler's, of two coins. */
function divergence(p: number, q: number): number {
  const part = (a: number, b: number) => (a === 0 ? 0 : a * Math.log(a / b));
  return part(p, q) + part(1 - p, 1 - q);
}

function largest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
