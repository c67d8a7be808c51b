import { Heap } from "../../heap.ts";
import { CAP_SHARE } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";
import { JUDGE, LEVEL_COUNT, type Order, type World } from "../world.ts";

/** Pairs that are compared at a time. */
const CHUNK = 5;
/** Step of the numerical derivative of accuracy, logits. */
const STEP = 1e-4;

/** A region at the level where a unit of cost teaches most. */
interface Bid {
  readonly region: number;
  readonly level: number;
  /** Ability that a pair adds, and what it costs. */
  readonly rise: number;
  readonly cost: number;
  /** Accuracy in use that a unit of the region's ability adds elsewhere. */
  readonly elsewhere: number;
  /** Ability that the first pair saves from being forgotten. */
  readonly saved: number;
  pairs: number;
  /** Accuracy in use per unit of cost of the next chunk. */
  worth: number;
}

/**
 * The hundred of the scale. It knows abilities, traffic, costs, invalid edits and the learner as they are, and spends each
 * chunk where its pairs raise accuracy in use most. It does not look further ahead than one round, nor beyond the region.
 */
export const oracle: PolicyKind = {
  name: "oracle",
  create: (_size, _random, world) => ({ plan: () => greedy(world, false), learn() {} }),
};

/** The same, and it also counts what spills over to other regions, and what a region without pairs would forget. */
export const seer: PolicyKind = {
  name: "oracle with foresight",
  create: (_size, _random, world) => ({ plan: () => greedy(world, true), learn() {} }),
};

function greedy(world: World, foresees: boolean): Order[] {
  const { budget } = world.size;
  const elsewhere = foresees ? slopesOf(world) : new Float64Array(world.regions.length);
  const heap = new Heap<Bid>((a, b) => a.worth > b.worth || (a.worth === b.worth && a.region < b.region));
  for (let r = 0; r < world.regions.length; r++) {
    const saved = foresees ? world.forgotten(r) : 0;
    const bid = bestLevel(world, r, { elsewhere: elsewhere[r] as number, saved });
    if (bid && bid.worth > 0) heap.push(bid);
  }
  const given: Bid[] = [];
  let left = budget;
  for (let bid = heap.pop(); bid; bid = heap.pop()) {
    const pairs = Math.min(CHUNK, Math.floor(left / bid.cost));
    if (pairs === 0) continue;
    if (bid.pairs === 0) given.push(bid);
    bid.pairs += pairs;
    left -= pairs * bid.cost;
    bid.worth = worthOf(world, bid);
    if (bid.worth > 0 && (bid.pairs + CHUNK) * bid.cost <= CAP_SHARE * budget) heap.push(bid);
  }
  return given.map(({ region, level, pairs }) => ({ region, level, pairs }));
}

function bestLevel(world: World, region: number, effects: Pick<Bid, "elsewhere" | "saved">): Bid | null {
  let best: Bid | null = null;
  for (let level = 0; level < LEVEL_COUNT; level++) {
    const bad = world.invalidShare(region, level);
    const valid = (1 - bad) * (1 - JUDGE.falsePositive);
    const rise = world.learned(region, level, valid, bad * (1 - JUDGE.sensitivity));
    const cost = world.cost(region, level);
    if (rise > 0 && (!best || rise / cost > best.rise / best.cost)) {
      best = { region, level, rise, cost, ...effects, pairs: 0, worth: 0 };
    }
  }
  if (best) best.worth = worthOf(world, best);
  return best;
}

function worthOf(world: World, { region, pairs, rise, cost, elsewhere, saved }: Bid): number {
  const ability = world.ability[region] as number;
  const before = pairs === 0 ? ability - saved : ability + pairs * rise;
  const after = ability + (pairs + CHUNK) * rise;
  const own = (world.traffic[region] as number) * (world.deployedAt(region, after) - world.deployedAt(region, before));
  return (own + CHUNK * rise * elsewhere) / (CHUNK * cost);
}

/** What the other regions gain, in accuracy in use, per unit of ability that a region learns. */
function slopesOf(world: World): Float64Array {
  const { tasks, errors } = world.size;
  const [byTask, byError] = [new Float64Array(tasks), new Float64Array(errors)];
  const own = Float64Array.from(world.regions, ({ learnable }, r) => {
    const ability = world.ability[r] as number;
    const rise = world.deployedAt(r, ability + STEP) - world.deployedAt(r, ability);
    return learnable ? ((world.traffic[r] as number) * rise) / STEP : 0;
  });
  for (const [r, { task, error }] of world.regions.entries()) {
    byTask[task] = (byTask[task] as number) + (own[r] as number);
    byError[error] = (byError[error] as number) + (own[r] as number);
  }
  const spill = world.spill();
  return own.map((slope, r) => {
    const { task, error } = world.region(r);
    return spill.task * ((byTask[task] as number) - slope) + spill.error * ((byError[error] as number) - slope);
  });
}
