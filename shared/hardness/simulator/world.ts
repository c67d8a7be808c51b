import { sigmoid } from "../ability.ts";
import { START_DIFFICULTY } from "../state.ts";
import type { Learner } from "./learners.ts";
import { Random } from "./random.ts";

export const LEVEL_COUNT = 4;
export const ROUNDS = 40;

/** How large a world is, and what may be spent on edits per round, in edits of level 1 in a region of average cost. */
export interface Size {
  readonly tasks: number;
  readonly errors: number;
  readonly budget: number;
}
export const SIZES: Readonly<Record<60 | 300, Size>> = {
  60: { tasks: 10, errors: 6, budget: 600 },
  300: { tasks: 30, errors: 10, budget: 1_200 },
};

export interface Scenario {
  readonly name: string;
  /** Times the usual share of invalid edits. */
  readonly noise: number;
  /** Times the usual forgetting. */
  readonly forgetting: number;
}
export const SCENARIOS = [
  { name: "base", noise: 1, forgetting: 1 },
  { name: "noisy editor", noise: 3, forgetting: 1 },
  { name: "forgetful", noise: 1, forgetting: 4 },
] as const satisfies readonly Scenario[];

/** Spread of ability over tasks, error types and single regions, and of how hard a region's questions are; logits. */
const TASK_DEVIATION = 0.6;
const ERROR_DEVIATION = 0.6;
const RESIDUAL_DEVIATION = 0.7;
const OFFSET_DEVIATION = 0.3;
/** Deployed accuracy is sigmoid(slope (ability - demand + ease)). */
const DEPLOYED_SLOPE = 1.2;
const DEPLOYED_EASE = 0.5;
/** Traffic falls with a region's rank to this power. */
const ZIPF = 0.8;
/** Questions that are asked per round. */
const EXPOSURES = 400;
/** Share of right answers that are reported as failures. */
const FALSE_REPORTS = 0.02;
/** Cost of an edit by level, times that of its region. */
const LEVEL_COST = [1, 1.2, 1.5, 1.9] as const;
const REGION_COST = [0.7, 1.3] as const;
/** Share of invalid edits at level 1, and how much likelier they are at each level. */
const INVALID = 0.02;
const INVALID_NOISY = 0.12;
const LEVEL_INVALID = [1, 2, 4, 7] as const;
const MAX_INVALID = 0.95;
/** Regions where edits are often invalid, and regions where training teaches nothing. */
const NOISY_REGIONS = 6;
const UNLEARNABLE_REGIONS = 6;
/** Share of invalid and of valid edits that the judge refuses. */
export const JUDGE = { sensitivity: 0.75, falsePositive: 0.05 } as const;
/** An invalid pair is preferred by chance: neither of its answers is the right one. */
const INVALID_SCORE = 0.5;
/** Logits of ability that a pair of gain 1 adds. */
const LEARNING_RATE = 0.008;
/** What an invalid pair costs, in pairs of gain 1. */
const INVALID_HARM = 0.9;
/** Part of what a region learns that the regions of its task, and those of its error type, learn with it. */
const SPILL = 0.1;
/** Part of what was learned that is lost in a round without a valid pair. */
const FORGETTING = 0.015;
/** After half of the rounds, so many regions lose so much, and traffic is dealt anew. */
const SHOCK_ROUND = ROUNDS / 2;
const SHOCK_SHARE = 1 / 3;
const SHOCK = 1.2;

/** So many edits at one level (0 to 3) of one region. */
export interface Order {
  readonly region: number;
  readonly level: number;
  readonly pairs: number;
}

/** What clients said since the last plan, by region. */
export interface Reports {
  readonly failures: Float64Array;
  readonly exposures: Float64Array;
}

/** What became of an order: edits made and refused, their cost, and how many of the accepted ones the model had right before it was trained on them. */
export interface Outcome {
  readonly region: number;
  readonly level: number;
  readonly attempted: number;
  readonly refused: number;
  readonly spent: number;
  readonly right: number;
}

/** An outcome with what nobody sees: how many of the accepted pairs are valid. */
interface Made extends Outcome {
  readonly valid: number;
  readonly invalid: number;
}

/** One region as it is. */
interface Region {
  readonly task: number;
  readonly error: number;
  readonly offset: number;
  readonly cost: number;
  readonly invalid: number;
  readonly learnable: boolean;
}

/**
 * SynthLoop: a model in use in many regions, its clients, an editor with a judge, and training. What it is made of depends
 * on the seed alone, so that every policy meets the same world; what chance does in its rounds has streams of its own.
 */
export class World {
  readonly size: Size;
  readonly regions: readonly Region[];
  readonly ability: Float64Array;
  readonly traffic: Float64Array;
  round = 0;
  readonly #learner: Learner;
  readonly #scenario: Scenario;
  /** Where each region's ability would be without training. */
  readonly #start: Float64Array;
  readonly #nature: Random;
  readonly #clients: Random;
  readonly #editor: Random;

  constructor(size: Size, learner: Learner, scenario: Scenario, seed: number) {
    this.size = size;
    this.#learner = learner;
    this.#scenario = scenario;
    this.#nature = Random.seeded(seed, 0);
    this.#clients = Random.seeded(seed, 1);
    this.#editor = Random.seeded(seed, 2);
    const nature = this.#nature;
    const normals = (n: number, deviation: number) => Array.from({ length: n }, () => deviation * nature.normal());
    const count = size.tasks * size.errors;
    const [tasks, errors] = [normals(size.tasks, TASK_DEVIATION), normals(size.errors, ERROR_DEVIATION)];
    const [residuals, offsets] = [normals(count, RESIDUAL_DEVIATION), normals(count, OFFSET_DEVIATION)];
    const noisy = new Set(nature.permutation(count).slice(0, NOISY_REGIONS));
    const unlearnable = new Set(nature.permutation(count).slice(0, UNLEARNABLE_REGIONS));
    this.regions = residuals.map((_, r) => ({
      task: Math.floor(r / size.errors),
      error: r % size.errors,
      offset: offsets[r] as number,
      cost: REGION_COST[0] + (REGION_COST[1] - REGION_COST[0]) * nature.uniform(),
      invalid: noisy.has(r) ? INVALID_NOISY : INVALID,
      learnable: !unlearnable.has(r),
    }));
    this.ability = Float64Array.from(
      this.regions,
      ({ task, error }, r) => (tasks[task] as number) + (errors[error] as number) + (residuals[r] as number),
    );
    this.#start = this.ability.slice();
    this.traffic = new Float64Array(count);
    this.#dealTraffic();
  }

  #dealTraffic(): void {
    const weights = this.regions.map((_, rank) => (rank + 1) ** -ZIPF);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const ranks = this.#nature.permutation(weights.length);
    for (const [r, rank] of ranks.entries()) this.traffic[r] = (weights[rank] as number) / total;
  }

  region(r: number): Region {
    return this.regions[r] as Region;
  }

  /** Probability that the model has a valid pair right. */
  probability(r: number, level: number): number {
    return sigmoid((this.ability[r] as number) - this.region(r).offset - (START_DIFFICULTY[level] as number));
  }

  gain(p: number): number {
    return this.#learner.gain(p);
  }

  cost(r: number, level: number): number {
    return this.region(r).cost * (LEVEL_COST[level] as number);
  }

  /** Share of edits that are invalid before they are judged. */
  invalidShare(r: number, level: number): number {
    return Math.min(MAX_INVALID, this.region(r).invalid * (LEVEL_INVALID[level] as number) * this.#scenario.noise);
  }

  /** Ability that `valid` pairs of one level and `invalid` ones add to their region, before what is forgotten. */
  learned(r: number, level: number, valid: number, invalid: number): number {
    if (!this.region(r).learnable) return 0;
    return LEARNING_RATE * (valid * this.gain(this.probability(r, level)) - INVALID_HARM * invalid);
  }

  /** Accuracy in use of a region whose ability were `ability`. */
  deployedAt(r: number, ability: number): number {
    return sigmoid(DEPLOYED_SLOPE * (ability - this.region(r).offset + DEPLOYED_EASE));
  }

  /** Accuracy in use, over all traffic. */
  accuracy(): number {
    let sum = 0;
    for (let r = 0; r < this.regions.length; r++) {
      sum += (this.traffic[r] as number) * this.deployedAt(r, this.ability[r] as number);
    }
    return sum;
  }

  /** Ability that a region loses in a round without a valid pair. */
  forgotten(r: number): number {
    const learned = Math.max(0, (this.ability[r] as number) - (this.#start[r] as number));
    return FORGETTING * this.#scenario.forgetting * learned;
  }

  /** Ability that each other region of the task, and of the error type, gains per unit that a region learned. */
  spill(): { task: number; error: number } {
    return { task: SPILL / (this.size.errors - 1), error: SPILL / (this.size.tasks - 1) };
  }

  /** A round's questions, and which answers clients report. */
  report(): Reports {
    const failures = new Float64Array(this.regions.length);
    const exposures = new Float64Array(this.regions.length);
    for (let i = 0; i < EXPOSURES; i++) {
      const r = this.#clients.weighted(this.traffic, 1);
      exposures[r] = (exposures[r] as number) + 1;
      const right = this.#clients.uniform() < this.deployedAt(r, this.ability[r] as number);
      const reported = this.#clients.uniform() < FALSE_REPORTS || !right;
      if (reported) failures[r] = (failures[r] as number) + 1;
    }
    return { failures, exposures };
  }

  /** Edits, judges, scores and trains, in this order. Orders are taken as they come until the budget is spent. */
  advance(orders: readonly Order[]): readonly Outcome[] {
    const made = this.#edit(orders);
    this.#train(made);
    this.round++;
    if (this.round === SHOCK_ROUND) this.#shock();
    return made;
  }

  #edit(orders: readonly Order[]): Made[] {
    const made: Made[] = [];
    let left = this.size.budget;
    for (const { region, level, pairs } of orders) {
      const cost = this.cost(region, level);
      const attempted = Math.min(pairs, Math.floor(left / cost));
      if (attempted <= 0) continue;
      left -= attempted * cost;
      const bad = this.#editor.binomial(attempted, this.invalidShare(region, level));
      const invalid = bad - this.#editor.binomial(bad, JUDGE.sensitivity);
      const valid = attempted - bad - this.#editor.binomial(attempted - bad, JUDGE.falsePositive);
      const right =
        this.#editor.binomial(valid, this.probability(region, level)) + this.#editor.binomial(invalid, INVALID_SCORE);
      const refused = attempted - valid - invalid;
      made.push({ region, level, attempted, refused, spent: attempted * cost, right, valid, invalid });
    }
    return made;
  }

  #train(made: readonly Made[]): void {
    const { tasks, errors } = this.size;
    const learned = new Float64Array(this.regions.length);
    const lost = Float64Array.from(this.regions, (_, r) => this.forgotten(r));
    const byTask = new Float64Array(tasks);
    const byError = new Float64Array(errors);
    for (const { region, level, valid, invalid } of made) {
      const amount = this.learned(region, level, valid, invalid);
      const { task, error } = this.region(region);
      learned[region] = (learned[region] as number) + amount;
      byTask[task] = (byTask[task] as number) + amount;
      byError[error] = (byError[error] as number) + amount;
      if (valid > 0) lost[region] = 0;
    }
    const spill = this.spill();
    for (const [r, { task, error, learnable }] of this.regions.entries()) {
      const own = learned[r] as number;
      const others = spill.task * ((byTask[task] as number) - own) + spill.error * ((byError[error] as number) - own);
      this.ability[r] = (this.ability[r] as number) + own + (learnable ? others : 0) - (lost[r] as number);
    }
  }

  #shock(): void {
    const hit = this.#nature.permutation(this.regions.length).slice(0, Math.round(SHOCK_SHARE * this.regions.length));
    for (const r of hit) {
      this.ability[r] = (this.ability[r] as number) - SHOCK;
      this.#start[r] = (this.#start[r] as number) - SHOCK;
    }
    this.#dealTraffic();
  }
}
