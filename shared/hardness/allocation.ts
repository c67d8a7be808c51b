import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import { Heap } from "./heap.ts";
import type { PlanLine } from "./state.ts";
import { nextPairValue } from "./value.ts";

/** A level at which a region could get pairs. */
export interface Option {
  readonly level: Level;
  /** Logits. */
  readonly difficulty: number;
  readonly predicted: number;
  readonly gain: number;
  readonly refusalRate: number;
  /** Worth of its first pair. */
  readonly value: number;
  /** Pairs that can be made at this level at all. */
  readonly supply: number;
}

/** A region that can get pairs. `options` holds at least one, the best by value first. */
export interface Bidder {
  /** Its place among the bidders, which come in the order of their keys: ties are broken by it. */
  readonly place: number;
  /** Regions with one pool draw on the same sources. */
  readonly pool: string;
  readonly options: readonly Option[];
  readonly supply: number;
  readonly backlog: number;
  /** Relative to the mean region. */
  readonly cost: number;
  readonly plannedAt: number | null;
}

export interface Grant {
  readonly bidder: Bidder;
  readonly option: Option;
  pairs: number;
  kind: PlanLine["kind"];
  readonly valueAtEntry: number;
}

/** What has been given and what is left, with every limit in one place: the budget, the cap, each pool's, region's and level's supply. */
export class Ledger {
  readonly grants: Grant[] = [];
  left: number;
  /** Pairs that one region may get. */
  readonly cap: number;
  readonly #policy: SchedulerPolicy;
  readonly #pools = new Map<string, number>();
  /** By the bidder's place. */
  readonly #given: Uint32Array;
  readonly #grantsOf: (Grant[] | undefined)[];

  constructor(bidders: readonly Bidder[], policy: SchedulerPolicy) {
    this.#policy = policy;
    this.left = policy.budgetPairs;
    this.cap = Math.ceil(policy.budgetPairs * policy.capShare);
    this.#given = new Uint32Array(bidders.length);
    this.#grantsOf = new Array(bidders.length);
    for (const { pool, supply } of bidders) this.#pools.set(pool, Math.max(supply, this.#pools.get(pool) ?? 0));
  }

  given({ place }: Bidder): number {
    return this.#given[place] ?? 0;
  }

  #grant({ place }: Bidder, { level }: Option): Grant | undefined {
    return this.#grantsOf[place]?.find((grant) => grant.option.level === level);
  }

  /** Pairs that the region can still get at this level. */
  room(bidder: Bidder, option: Option): number {
    const given = this.given(bidder);
    const here = this.#grant(bidder, option)?.pairs ?? 0;
    const pool = this.#pools.get(bidder.pool) ?? 0;
    return Math.min(this.left, this.cap - given, bidder.supply - given, option.supply - here, pool);
  }

  /** Worth of the region's next pair at this level. */
  worth(bidder: Bidder, option: Option): number {
    return nextPairValue(option.value, this.given(bidder) + bidder.backlog, bidder.cost, this.#policy);
  }

  /** Gives up to `pairs` pairs, as far as there is room; returns how many. */
  give(bidder: Bidder, option: Option, pairs: number, kind: PlanLine["kind"]): number {
    const granted = Math.min(pairs, this.room(bidder, option));
    if (granted <= 0) return 0;
    let grant = this.#grant(bidder, option);
    if (!grant) {
      grant = { bidder, option, pairs: 0, kind, valueAtEntry: this.worth(bidder, option) };
      this.grants.push(grant);
      this.#grantsOf[bidder.place] = [...(this.#grantsOf[bidder.place] ?? []), grant];
    }
    grant.pairs += granted;
    grant.kind = kind;
    this.left -= granted;
    this.#given[bidder.place] = this.given(bidder) + granted;
    this.#pools.set(bidder.pool, (this.#pools.get(bidder.pool) ?? 0) - granted);
    return granted;
  }
}

/** Options by their distance from the accuracy that a probe looks for. */
function nearest(options: readonly Option[], target: number): Option[] {
  return [...options].sort(
    (a, b) => Math.abs(a.predicted - target) - Math.abs(b.predicted - target) || a.level - b.level,
  );
}

/** A few pairs for the regions that waited longest, so that none is forgotten. `bidders` come in the order of their keys. */
export function giveFloor(bidders: readonly Bidder[], ledger: Ledger, policy: SchedulerPolicy): void {
  let left = Math.floor(policy.budgetPairs * policy.floorShare);
  const waited = [...bidders].sort((a, b) => (a.plannedAt ?? -1) - (b.plannedAt ?? -1));
  for (const bidder of waited) {
    if (left === 0) return;
    const [option] = nearest(bidder.options, policy.floorTarget);
    if (option) left -= ledger.give(bidder, option, Math.min(policy.floorProbes, left), "floor");
  }
}

/** The rest, chunk by chunk, to the region whose next pair is worth most, until nothing is worth anything or the budget is spent. */
export function giveByValue(bidders: readonly Bidder[], ledger: Ledger, policy: SchedulerPolicy): void {
  interface Bid {
    readonly bidder: Bidder;
    readonly option: Option;
    readonly worth: number;
  }
  const heap = new Heap<Bid>((a, b) => a.worth > b.worth || (a.worth === b.worth && a.bidder.place < b.bidder.place));
  const enter = (bidder: Bidder) => {
    const option = bidder.options.find((o) => ledger.room(bidder, o) > 0);
    const worth = option ? ledger.worth(bidder, option) : 0;
    if (option && worth > 0) heap.push({ bidder, option, worth });
  };
  for (const bidder of bidders) enter(bidder);
  for (let bid = heap.pop(); bid && ledger.left > 0; bid = heap.pop()) {
    ledger.give(bid.bidder, bid.option, policy.chunkPairs, "value");
    enter(bid.bidder);
  }
}

/** The yardstick: one pair after the other to every region in turn, at the level whose predicted accuracy is nearest the floor's target. */
export function giveUniform(bidders: readonly Bidder[], ledger: Ledger, policy: SchedulerPolicy): void {
  let active = bidders.map((bidder) => ({ bidder, options: nearest(bidder.options, policy.floorTarget) }));
  while (active.length > 0 && ledger.left > 0) {
    active = active.filter(({ bidder, options }) =>
      options.some((option) => ledger.give(bidder, option, 1, "uniform") > 0),
    );
  }
}
