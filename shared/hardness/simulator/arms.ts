import { Heap } from "../heap.ts";
import type { Random } from "./random.ts";
import { LEVEL_COUNT, type Order, type Outcome, type Size } from "./world.ts";

/** Weight of the newest observation in the moving average of a region's relative cost. */
const COST_WEIGHT = 0.2;
/** Largest part of the budget that a region gets, for every policy that has a limit. */
export const CAP_SHARE = 0.25;

/** An arm is a level of a region. */
export function armOf({ region, level }: Pick<Order, "region" | "level">): number {
  return region * LEVEL_COUNT + level;
}

export function armCount({ tasks, errors }: Size): number {
  return tasks * errors * LEVEL_COUNT;
}

/** What an edit costs: the mean of its level, times how much dearer its region was so far. 1 before any was made. */
export class Costs {
  readonly #levels = Array.from({ length: LEVEL_COUNT }, () => ({ spent: 0, expected: 0 }));
  readonly #regions: Float64Array;

  constructor({ tasks, errors }: Size) {
    this.#regions = new Float64Array(tasks * errors).fill(1);
  }

  of(arm: number): number {
    return this.#level(arm % LEVEL_COUNT) * (this.#regions[Math.floor(arm / LEVEL_COUNT)] as number);
  }

  #level(level: number): number {
    const { spent, expected } = this.#levels[level] as { spent: number; expected: number };
    return expected > 0 ? spent / expected : 1;
  }

  learn(outcomes: readonly Outcome[]): void {
    for (const { region, level, attempted, spent } of outcomes) {
      const counts = this.#levels[level] as { spent: number; expected: number };
      counts.spent += spent;
      counts.expected += attempted * (this.#regions[region] as number);
      const relative = spent / (attempted * this.#level(level));
      this.#regions[region] =
        (this.#regions[region] as number) + COST_WEIGHT * (relative - (this.#regions[region] as number));
    }
  }
}

/**
 * Spends the budget so that each arm gets pairs in proportion to its weight. Fractions are settled by systematic sampling,
 * which gives every arm its share on average. Orders come in random order, so that nobody suffers if costs were guessed too low.
 */
export function inProportion(weights: Float64Array, budget: number, costs: Costs, random: Random): Order[] {
  let spent = 0;
  for (let arm = 0; arm < weights.length; arm++) spent += (weights[arm] as number) * costs.of(arm);
  if (spent <= 0) return [];
  const orders: Order[] = [];
  let [mark, owed] = [random.uniform(), 0];
  for (const arm of random.permutation(weights.length)) {
    owed += ((weights[arm] as number) * budget) / spent;
    const pairs = Math.max(0, Math.ceil(owed - mark));
    mark += pairs;
    if (pairs > 0) orders.push({ region: Math.floor(arm / LEVEL_COUNT), level: arm % LEVEL_COUNT, pairs });
  }
  return orders;
}

/** Spends the budget on the arms in the given order, each as far as its region's cap allows. */
export function inOrder(arms: readonly number[], budget: number, costs: Costs): Order[] {
  const orders: Order[] = [];
  const spentOn = new Map<number, number>();
  let left = budget;
  for (const arm of arms) {
    const region = Math.floor(arm / LEVEL_COUNT);
    const room = Math.min(left, CAP_SHARE * budget - (spentOn.get(region) ?? 0));
    const pairs = Math.floor(room / costs.of(arm));
    if (pairs <= 0) continue;
    orders.push({ region, level: arm % LEVEL_COUNT, pairs });
    spentOn.set(region, (spentOn.get(region) ?? 0) + pairs * costs.of(arm));
    left -= pairs * costs.of(arm);
  }
  return orders;
}

/** Pairs after which a region's next pair is worth 1/e, and pairs that are given at a time, for all who spread by worth. */
export const SCALE_PAIRS = 28;
export const CHUNK_PAIRS = 2;

/** Spends the budget chunk by chunk on the arm whose next pair is worth most for its cost. One arm per region has a positive value. */
export function byWorth(values: Float64Array, budget: number, costs: Costs): Order[] {
  const orders: { region: number; level: number; pairs: number; worth: number }[] = [];
  const heap = new Heap<(typeof orders)[number]>(
    (a, b) => a.worth > b.worth || (a.worth === b.worth && a.region < b.region),
  );
  const worthOf = (arm: number, pairs: number) =>
    ((values[arm] as number) * Math.exp(-pairs / SCALE_PAIRS)) / costs.of(arm);
  for (let arm = 0; arm < values.length; arm++) {
    const worth = worthOf(arm, 0);
    if (worth > 0) heap.push({ region: Math.floor(arm / LEVEL_COUNT), level: arm % LEVEL_COUNT, pairs: 0, worth });
  }
  let left = budget;
  for (let bid = heap.pop(); bid; bid = heap.pop()) {
    const cost = costs.of(armOf(bid));
    const pairs = Math.min(CHUNK_PAIRS, Math.floor(Math.min(left, CAP_SHARE * budget - bid.pairs * cost) / cost));
    if (pairs <= 0) continue;
    if (bid.pairs === 0) orders.push(bid);
    bid.pairs += pairs;
    left -= pairs * cost;
    bid.worth = worthOf(armOf(bid), bid.pairs);
    heap.push(bid);
  }
  return orders;
}
