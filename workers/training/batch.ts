import type { ReadyPair, RegionBacklog } from "../store/pairs.ts";

/** Pairs by which one answer, yes or no, may outnumber the other in a task's part of a batch. */
export const POLARITY_SLACK_PAIRS = 4;

export interface BatchLimits {
  readonly maxPairs: number;
  /** Largest share of `maxPairs` from one region. */
  readonly regionCapShare: number;
}

/** Ready pairs of one source: one prompt, one right answer, some wrong ones. They are trained on together. */
interface Group {
  readonly task: string;
  readonly polarity: "yes" | "no" | null;
  readonly pairs: readonly ReadyPair[];
  /** How far into its region's queue the group stands, 0 to 1: the front-most of its pairs decides. */
  readonly position: number;
}

/**
 * The pairs of a batch: whole groups, every region in proportion to its backlog, its oldest first, none above its cap, and
 * in every task as many right answers that say yes as say no.
 * @param ready oldest first, whole groups
 * @returns at most `maxPairs` pairs
 */
export function chooseBatch(
  ready: readonly ReadyPair[],
  backlogs: readonly RegionBacklog[],
  limits: BatchLimits,
): ReadyPair[] {
  const room = new Room(limits);
  const waiting: Record<string, Group[]> = {};
  for (const group of groupsInOrder(ready, backlogs)) {
    if (!room.isBalancedWith(group)) {
      waiting[sideOf(group)] ??= [];
      waiting[sideOf(group)]?.push(group);
      continue;
    }
    room.take(group);
    // Each answer of one side makes room for one that waits on the other.
    const others = waiting[otherSideOf(group)] ?? [];
    for (let next = others[0]; next && room.isBalancedWith(next); next = others[0]) {
      room.take(next);
      others.shift();
    }
  }
  return room.taken;
}

/** The largest number of pairs that a batch may take from one region. */
export function regionCap({ maxPairs, regionCapShare }: BatchLimits): number {
  return Math.max(1, Math.ceil(maxPairs * regionCapShare));
}

/** Walks all regions' queues at once, each at a pace in proportion to its length; nobody's first group waits. */
function groupsInOrder(ready: readonly ReadyPair[], backlogs: readonly RegionBacklog[]): Group[] {
  const lengths = new Map(backlogs.map(({ region, backlog }) => [region, backlog]));
  const ranks = new Map<string, number>();
  const groups = new Map<string, { pairs: ReadyPair[]; position: number }>();
  for (const pair of ready) {
    const rank = ranks.get(pair.region) ?? 0;
    ranks.set(pair.region, rank + 1);
    const position = rank / Math.max(1, lengths.get(pair.region) ?? 1);
    const group = groups.get(pair.sourceId);
    if (!group) groups.set(pair.sourceId, { pairs: [pair], position });
    else {
      group.pairs.push(pair);
      group.position = Math.min(group.position, position);
    }
  }
  return [...groups.entries()]
    .sort(([idA, a], [idB, b]) => a.position - b.position || (idA < idB ? -1 : 1))
    .flatMap(([, { pairs, position }]) => {
      const [first] = pairs;
      return first ? [{ task: taskOf(first.region), polarity: first.polarity, pairs, position }] : [];
    });
}

/** What is left of the batch, of each region's cap, and between yes and no. */
class Room {
  readonly taken: ReadyPair[] = [];
  readonly #maxPairs: number;
  readonly #cap: number;
  readonly #regions = new Map<string, number>();
  readonly #sides = new Map<string, number>();

  constructor(limits: BatchLimits) {
    this.#maxPairs = limits.maxPairs;
    this.#cap = regionCap(limits);
  }

  isBalancedWith(group: Group): boolean {
    if (group.polarity === null) return true;
    const mine = this.#sides.get(sideOf(group)) ?? 0;
    const others = this.#sides.get(otherSideOf(group)) ?? 0;
    return mine + group.pairs.length - others <= POLARITY_SLACK_PAIRS;
  }

  /** Takes the group if it fits; a group that does not fit stays behind for a later batch. */
  take(group: Group): void {
    if (!this.#fits(group)) return;
    for (const pair of group.pairs) this.#regions.set(pair.region, (this.#regions.get(pair.region) ?? 0) + 1);
    this.#sides.set(sideOf(group), (this.#sides.get(sideOf(group)) ?? 0) + group.pairs.length);
    this.taken.push(...group.pairs);
  }

  #fits(group: Group): boolean {
    if (this.taken.length + group.pairs.length > this.#maxPairs) return false;
    return group.pairs.every(({ region }) => {
      const inGroup = group.pairs.filter((pair) => pair.region === region).length;
      return (this.#regions.get(region) ?? 0) + inGroup <= this.#cap;
    });
  }
}

function sideOf(group: Group): string {
  return `${group.task}/${group.polarity}`;
}

function otherSideOf(group: Group): string {
  return `${group.task}/${group.polarity === "yes" ? "no" : "yes"}`;
}

function taskOf(region: string): string {
  return region.slice(0, region.indexOf("/"));
}
