import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Bidder } from "./bidders.ts";
import { Heap } from "./heap.ts";
import { Purse } from "./purse.ts";
import type { Plan, PlanInputs } from "./state.ts";
import { nextPairValue } from "./value.ts";

/** How many pairs each bidder gets, by its place. At which levels is another matter: it changes nothing here. */
export interface Allocation {
  readonly ledger: Ledger;
  readonly stopped: Plan["stopped"];
}

/** What each bidder got, and what keeps it from more: the cap, its own supply, and that of its pool. */
export class Ledger {
  /** Pairs that one region may get. */
  readonly cap: number;
  readonly probes: Uint32Array;
  readonly main: Uint32Array;
  /** What each bid for the last pairs that it got for a bid; 0 where it got none so. */
  readonly lastBids: Float64Array;
  readonly #bidders: readonly Bidder[];
  readonly #policy: SchedulerPolicy;
  readonly #pools: Pools;

  constructor(bidders: readonly Bidder[], policy: SchedulerPolicy) {
    this.cap = Math.ceil(policy.budgetPairs * policy.capShare);
    this.probes = new Uint32Array(bidders.length);
    this.main = new Uint32Array(bidders.length);
    this.lastBids = new Float64Array(bidders.length);
    this.#bidders = bidders;
    this.#policy = policy;
    this.#pools = new Pools(bidders);
  }

  given(place: number): number {
    return (this.probes[place] ?? 0) + (this.main[place] ?? 0);
  }

  /** Pairs that the region can still get. */
  room(bidder: Bidder): number {
    return Math.min(Math.min(this.cap, bidder.supply) - this.given(bidder.place), this.#pools.room(bidder));
  }

  /** Worth of the region's next pair: what it bids. */
  worth(bidder: Bidder): number {
    return this.worthAfter(bidder, this.probes[bidder.place] ?? 0, this.main[bidder.place] ?? 0);
  }

  /** What it bids after so many probes and other pairs. */
  worthAfter(bidder: Bidder, probes: number, main: number): number {
    const value = main < this.ownLeft(bidder, probes) ? bidder.firstValue : bidder.nextValue;
    return nextPairValue(
      value,
      probes + main + bidder.region.backlog,
      bidder.onStaircase ? 1 : bidder.cost,
      this.#policy,
    );
  }

  /** Pairs of the first level that it bids with, after its probes. */
  ownLeft(bidder: Bidder, probes: number): number {
    if (bidder.bid.next === null) return Number.POSITIVE_INFINITY;
    return bidder.region.ownAnswers - (bidder.probesOwn ? probes : 0);
  }

  /** Gives up to `pairs` pairs, as far as there is room and as the purse pays for; returns how many. */
  give(bidder: Bidder, pairs: number, purse: Purse, counts: Uint32Array): number {
    const wanted = Math.min(pairs, this.room(bidder));
    if (wanted <= 0) return 0;
    const given = purse.take(wanted, bidder);
    counts[bidder.place] = (counts[bidder.place] ?? 0) + given;
    this.#pools.draw(bidder, given);
    return given;
  }

  /** Whether anybody would take more: for want of what does it not get it? */
  reason(inputs: Pick<PlanInputs, "regions">): Plan["stopped"] {
    const wanting = this.#bidders.filter((bidder) => this.worth(bidder) > 0);
    if (wanting.some((b) => this.given(b.place) === this.cap && this.cap < b.supply && this.#pools.room(b) > 0))
      return "cap";
    const served = this.#bidders.length === inputs.regions.length;
    return wanting.length > 0 || !served ? "supply" : "no value left";
  }
}

/**
 * What the sources of each pool still give. Where both strategies draw on one pool, each has the part of it that its regions are
 * of the pool's regions, so that neither lives at the other's expense.
 */
class Pools {
  readonly #byValue: Uint32Array;
  readonly #byStaircase: Uint32Array;

  constructor(bidders: readonly Bidder[]) {
    const count = bidders.reduce((most, { pool }) => Math.max(most, pool + 1), 0);
    this.#byValue = new Uint32Array(count);
    this.#byStaircase = new Uint32Array(count);
    const regions = new Uint32Array(count);
    const onStaircase = new Uint32Array(count);
    for (const { pool, region, onStaircase: stairs } of bidders) {
      this.#byValue[pool] = Math.max(region.editable, this.#byValue[pool] ?? 0);
      regions[pool] = (regions[pool] ?? 0) + 1;
      if (stairs) onStaircase[pool] = (onStaircase[pool] ?? 0) + 1;
    }
    for (let pool = 0; pool < count; pool++) {
      const all = this.#byValue[pool] ?? 0;
      const part = Math.floor((all * (onStaircase[pool] ?? 0)) / (regions[pool] ?? 1));
      this.#byStaircase[pool] = part;
      this.#byValue[pool] = all - part;
    }
  }

  #of({ onStaircase }: Bidder): Uint32Array {
    return onStaircase ? this.#byStaircase : this.#byValue;
  }

  room(bidder: Bidder): number {
    return this.#of(bidder)[bidder.pool] ?? 0;
  }

  draw(bidder: Bidder, pairs: number): void {
    this.#of(bidder)[bidder.pool] = this.room(bidder) - pairs;
  }
}

/**
 * Spreads the budget: probes for those who waited longest; then the regions on the staircase get, as a group, the part of the rest
 * that they have of all failure mass; then the others are served by value. What the staircase cannot use goes to the others.
 */
export function allocate(bidders: readonly Bidder[], inputs: PlanInputs): Allocation {
  const { policy, funds } = inputs;
  const ledger = new Ledger(bidders, policy);
  const purse = new Purse(policy.budgetPairs, funds);
  const climbing = bidders.filter(({ onStaircase }) => onStaircase);
  const others = bidders.filter(({ onStaircase }) => !onStaircase);
  if (policy.allocation === "value") giveFloor(bidders, ledger, purse, policy);
  if (climbing.length > 0 && !purse.empty) {
    const part = purse.part(others.length === 0 ? 1 : shareOf(massOf(climbing), massOf(others)));
    giveByWorth(climbing, ledger, part, policy);
    purse.refill(part);
    if (others.length === 0) purse.short = part.short;
  }
  if (policy.allocation === "uniform") giveUniform(others, ledger, purse);
  else giveByWorth(others, ledger, purse, policy);
  const stopped = purse.short ?? (purse.pairs === 0 ? "budget" : ledger.reason(inputs));
  return { ledger, stopped };
}

function massOf(bidders: readonly Bidder[]): number {
  return bidders.reduce((sum, { failureMass }) => sum + failureMass, 0);
}

/** part / (part + rest), written so that rounding cannot make it fall when `part` rises. */
function shareOf(part: number, rest: number): number {
  return part > 0 ? 1 / (1 + rest / part) : 0;
}

/** A few pairs for the regions that waited longest, so that none is forgotten; those that never got any before all others. */
function giveFloor(bidders: readonly Bidder[], ledger: Ledger, purse: Purse, policy: SchedulerPolicy): void {
  let left = Math.floor(policy.budgetPairs * policy.floorShare);
  const waiting = bidders.map(({ region }) => -(region.plannedAt ?? Number.NEGATIVE_INFINITY));
  const heap = largestFirst(
    waiting,
    bidders.map(({ place }) => place),
  );
  for (let place = heap.pop(); place !== undefined && left > 0 && !purse.empty; place = heap.pop()) {
    left -= ledger.give(bidders[place] as Bidder, Math.min(policy.floorProbes, left), purse, ledger.probes);
  }
}

/**
 * Chunk by chunk to the region whose next pair is worth most, until nothing is worth anything or the purse is empty. Raising one
 * region's bids takes nothing from it: the pairs that come before each of its own only become fewer.
 */
function giveByWorth(group: readonly Bidder[], ledger: Ledger, purse: Purse, policy: SchedulerPolicy): void {
  const bidOf = (bidder: Bidder) => (ledger.room(bidder) > 0 ? ledger.worth(bidder) : 0);
  const worths = group.map(bidOf);
  const bidding: number[] = [];
  for (let i = 0; i < worths.length; i++) if ((worths[i] ?? 0) > 0) bidding.push(i);
  const heap = largestFirst(worths, bidding);
  for (let top = heap.top; top !== undefined && !purse.empty; top = heap.top) {
    const bidder = group[top] as Bidder;
    const main = ledger.main[bidder.place] ?? 0;
    const own = ledger.ownLeft(bidder, ledger.probes[bidder.place] ?? 0) - main;
    const chunk = own > 0 ? Math.min(policy.chunkPairs, own) : policy.chunkPairs;
    if (ledger.give(bidder, chunk, purse, ledger.main) > 0) ledger.lastBids[bidder.place] = worths[top] ?? 0;
    worths[top] = bidOf(bidder);
    if ((worths[top] ?? 0) > 0) heap.settle();
    else heap.pop();
  }
}

/** Places by falling number, equal ones by place. */
function largestFirst(numbers: readonly number[], places: readonly number[]): Heap<number> {
  const at = (place: number) => numbers[place] ?? 0;
  return new Heap((a, b) => at(a) > at(b) || (at(a) === at(b) && a < b), places);
}

/** The yardstick: one pair after the other to every region in turn. */
function giveUniform(bidders: readonly Bidder[], ledger: Ledger, purse: Purse): void {
  let active = [...bidders];
  while (active.length > 0 && !purse.empty) {
    active = active.filter((bidder) => ledger.give(bidder, 1, purse, ledger.main) > 0);
  }
}
