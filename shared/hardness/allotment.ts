import type { Level } from "../taxonomy/taxonomy.ts";
import type { BatchLimits, Polarity, Quotas, Stock } from "./batch.ts";
import { Heap } from "./heap.ts";

/** Pairs by which one answer, yes or no, may outnumber the other in a task's part of a batch. */
export const POLARITY_SLACK_PAIRS = 4;
/** Where learnability p (1 - p) is greatest. */
const MIDDLE = 0.5;
/** A region of no worth counts as this part of the mean one: its pairs were paid for, and wait for somebody. */
const LEAST_WEIGHT = 0.01;
const POLARITIES = [null, "yes", "no"] as const;

/** The largest number of pairs of a batch of `size` from one of `regions` regions; their equal part is always allowed. */
export function regionCap(size: number, regions: number, share: number): number {
  return Math.ceil(size * Math.max(share, 1 / Math.max(1, regions)));
}

/** Pairs of one level, alike but for their age. */
interface Cell {
  readonly kind: "fresh" | "again";
  readonly level: Level;
  readonly polarity: Polarity;
  readonly predicted: number;
  readonly inBand: boolean;
  readonly most: number;
  given: number;
}

/** A region with what it was given so far. */
interface Claimant {
  readonly region: string;
  readonly task: string;
  readonly weight: number;
  /** The levels to take first come first. */
  readonly cells: readonly Cell[];
  given: number;
}

/** Pairs given out one by one, each to the region that is furthest behind its part and can take one. */
export class Allotment {
  given = 0;
  readonly #claimants: readonly Claimant[];
  readonly #capOf: (size: number) => number;
  readonly #balance = new Balance<Claimant>();
  #outside: number;

  constructor(regions: readonly Stock[], size: number, { training, batch }: BatchLimits) {
    const mean = regions.reduce((sum, { value }) => sum + value, 0) / Math.max(1, regions.length);
    this.#claimants = regions.map((stock) => ({
      region: stock.region,
      task: stock.task,
      weight: Math.max(stock.value, LEAST_WEIGHT * mean || 1),
      cells: cellsOf(stock, batch),
      given: 0,
    }));
    const withNew = regions.filter(({ levels }) => levels.some(({ open, yes, no }) => open + yes + no > 0));
    this.#capOf = (pairs) => regionCap(pairs, withNew.length, training.regionCapShare);
    this.#outside = Math.floor(batch.outsideShare * size);
  }

  /** Gives out at most `room` pairs of one kind. */
  give(kind: Cell["kind"], room: number): void {
    const heap = new Heap<Claimant>(isBefore);
    this.#balance.dismiss();
    for (const claimant of this.#claimants) if (claimant.cells.some((cell) => cell.kind === kind)) heap.push(claimant);
    const end = this.given + room;
    const cap = this.#capOf(end);
    for (let next = heap.pop(); next && this.given < end; next = heap.pop()) {
      if (next.given >= cap) continue;
      const cell = this.#choose(next, kind);
      if (cell) {
        this.#take(next, cell);
        heap.push(next);
      } else this.#balance.wait(next, this.#blockedSide(next, kind));
      for (const waiting of this.#balance.awoken(next.task)) heap.push(waiting);
    }
  }

  /** The regions that were given new pairs. */
  touched(): ReadonlySet<string> {
    const touched = this.#claimants.filter(({ cells }) =>
      cells.some(({ kind, given }) => kind === "fresh" && given > 0),
    );
    return new Set(touched.map(({ region }) => region));
  }

  quotas(): Pick<Quotas, "fresh" | "again"> {
    const taken = this.#claimants.flatMap(({ region, cells }) =>
      cells
        .filter((cell) => cell.given > 0)
        .map(({ kind, level, polarity, given }) => ({ kind, region, level, polarity, pairs: given })),
    );
    const fresh = taken.filter(({ kind }) => kind === "fresh");
    const again = taken.filter(({ kind }) => kind === "again");
    return {
      fresh: fresh.map(({ kind: _, ...quota }) => quota),
      again: again.map(({ region, level, pairs }) => ({ region, level, pairs })),
    };
  }

  /** Of the first level that has any, the polarity that was taken least of. */
  #choose({ cells, task }: Claimant, kind: Cell["kind"]): Cell | undefined {
    let best: Cell | undefined;
    for (const cell of cells) {
      if (best && cell.level !== best.level) return best;
      if (!this.#isOpen(cell, kind) || !this.#balance.allows(task, cell.polarity)) continue;
      if (!best || cell.given / cell.most < best.given / best.most) best = cell;
    }
    return best;
  }

  /** The side of which the region could give one, if the other side had one more. */
  #blockedSide({ cells }: Claimant, kind: Cell["kind"]): Polarity {
    return cells.find((cell) => cell.polarity !== null && this.#isOpen(cell, kind))?.polarity ?? null;
  }

  #isOpen(cell: Cell, kind: Cell["kind"]): boolean {
    return cell.kind === kind && cell.given < cell.most && (cell.inBand || this.#outside > 0);
  }

  #take(claimant: Claimant, cell: Cell): void {
    cell.given += 1;
    claimant.given += 1;
    this.given += 1;
    if (!cell.inBand) this.#outside -= 1;
    this.#balance.count(claimant.task, cell.polarity);
  }
}

/** How many right answers say yes and no in each task, and who waits for the other side to catch up. */
class Balance<Waiting> {
  readonly #counts = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting[]>();

  allows(task: string, polarity: Polarity): boolean {
    if (polarity === null) return true;
    return this.#of(task, polarity) - this.#of(task, other(polarity)) < POLARITY_SLACK_PAIRS;
  }

  count(task: string, polarity: Polarity): void {
    if (polarity !== null) this.#counts.set(side(task, polarity), this.#of(task, polarity) + 1);
  }

  /** Sends home who waits. */
  dismiss(): void {
    this.#waiting.clear();
  }

  /** Nobody waits for a side that is null. */
  wait(who: Waiting & { readonly task: string }, polarity: Polarity): void {
    if (polarity === null) return;
    const queue = this.#waiting.get(side(who.task, polarity));
    if (queue) queue.push(who);
    else this.#waiting.set(side(who.task, polarity), [who]);
  }

  /** The first who waits for each side that has room now. */
  awoken(task: string): Waiting[] {
    return (["yes", "no"] as const).flatMap((polarity) =>
      this.allows(task, polarity) ? (this.#waiting.get(side(task, polarity))?.splice(0, 1) ?? []) : [],
    );
  }

  #of(task: string, polarity: "yes" | "no"): number {
    return this.#counts.get(side(task, polarity)) ?? 0;
  }
}

function side(task: string, polarity: "yes" | "no"): string {
  return `${task}/${polarity}`;
}

function other(polarity: "yes" | "no"): "yes" | "no" {
  return polarity === "yes" ? "no" : "yes";
}

/** Who has nothing yet comes first, the worthier before the others; then who is furthest behind (Sainte-Lague's quotients). */
function isBefore(a: Claimant, b: Claimant): boolean {
  const [quotientA, quotientB] = [a.weight / (2 * a.given + 1), b.weight / (2 * b.given + 1)];
  const [emptyA, emptyB] = [a.given === 0, b.given === 0];
  if (emptyA !== emptyB) return emptyA;
  return quotientA > quotientB || (quotientA === quotientB && a.region < b.region);
}

/** In the band first, then the nearest to the middle, then the lowest level. */
function cellsOf({ levels }: Stock, { bandLow, bandHigh }: BatchLimits["batch"]): Cell[] {
  return levels
    .flatMap(({ level, predicted, open, yes, no, again }): Cell[] => {
      const inBand = predicted >= bandLow && predicted <= bandHigh;
      const shared = { level, predicted, inBand, given: 0 };
      const counts = [open, yes, no];
      const fresh = POLARITIES.map((polarity, i) => ({
        ...shared,
        kind: "fresh" as const,
        polarity,
        most: counts[i] ?? 0,
      }));
      return [...fresh, { ...shared, kind: "again" as const, polarity: null, most: again }];
    })
    .filter(({ most }) => most > 0)
    .sort(
      (a, b) =>
        Number(b.inBand) - Number(a.inBand) ||
        Math.abs(a.predicted - MIDDLE) - Math.abs(b.predicted - MIDDLE) ||
        a.level - b.level,
    );
}
