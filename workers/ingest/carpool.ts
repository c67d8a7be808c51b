/** The one who took the others along never arrived. */
export class Stranded extends Error {
  override readonly name = "Stranded";
}

interface Seat<T, R> {
  readonly item: T;
  readonly weight: number;
  arrived: { readonly result: R | Error } | null;
}

/** How often a passenger looks whether it has arrived, once it should have. */
const LOOK_MS = 2;
/** How long a pause between two arrivals may be for a car to wait, and how many such pauses. */
const GATHER_PAUSE_MS = 1;
const GATHER_PAUSES_MAX = 8;
/** Weight of the last drive in the average. */
const LEARNING_RATE = 0.2;

export interface CarpoolLimits {
  /** Weight that goes at once; a single heavier item goes alone. */
  readonly group: number;
  /** After so long a driver counts as lost; ms. */
  readonly lostMs: number;
}

/**
 * Takes the items of concurrent requests of one isolate to their destination together. A call to another object costs more than
 * all else that a small request does; here one request makes it for all that wait. Requests of a Worker must not wait for each
 * other's promises, since each may be cancelled at any time: so the others look into shared memory from time to time, and whoever
 * finds that nobody drives drives next.
 */
export class Carpool<T, R> {
  readonly #drive: (items: readonly T[]) => Promise<readonly (R | Error)[]>;
  readonly #limits: CarpoolLimits;
  readonly #waiting: Seat<T, R>[] = [];
  /** When the present driver set off; ms, null when nobody drives. */
  #since: number | null = null;
  /** Moving average of how long a drive takes. */
  #usualMs = 0;
  /** Whether several rode together lately. */
  #crowded = false;

  /** @param drive gives one result or error per item, in order; when it throws, every item of the group fails with its error */
  constructor(drive: (items: readonly T[]) => Promise<readonly (R | Error)[]>, limits: CarpoolLimits) {
    this.#drive = drive;
    this.#limits = limits;
  }

  /**
   * The item's result.
   * @param keepAlive is given what must go on though this request is cancelled: others depend on it
   * @throws {Stranded} when the driver is lost; the item may have arrived or not
   * @throws what driving throws
   */
  async ride(item: T, weight: number, keepAlive: (work: Promise<unknown>) => void): Promise<R> {
    const seat: Seat<T, R> = { item, weight, arrived: null };
    this.#waiting.push(seat);
    const startedAt = Date.now();
    while (seat.arrived === null) {
      if (this.#isFree()) {
        const work = this.#goNext();
        keepAlive(work);
        await work;
      } else if (Date.now() - startedAt > this.#limits.lostMs) {
        const at = this.#waiting.indexOf(seat);
        if (at >= 0) this.#waiting.splice(at, 1);
        throw new Stranded("the events are with a request that was lost");
      } else await pause(Math.max(LOOK_MS, this.#msToArrival()));
    }
    const { result } = seat.arrived;
    if (result instanceof Error) throw result;
    return result;
  }

  #isFree(): boolean {
    return this.#since === null || Date.now() - this.#since > this.#limits.lostMs;
  }

  /** Going by how long the last drives took. */
  #msToArrival(): number {
    return (this.#since ?? 0) + this.#usualMs - Date.now();
  }

  /** Never throws. */
  async #goNext(): Promise<void> {
    const since = Date.now();
    this.#since = since;
    if (this.#crowded) await this.#gather();
    const seats = this.#nextGroup();
    this.#crowded = seats.length > 1 || this.#waiting.length > 0;
    try {
      const results = await this.#drive(seats.map(({ item }) => item));
      seats.forEach((seat, index) => {
        seat.arrived = { result: results[index] as R | Error };
      });
    } catch (error) {
      const result = error instanceof Error ? error : new Error(String(error));
      for (const seat of seats) seat.arrived = { result };
    }
    this.#usualMs += (Date.now() - since - this.#usualMs) * LEARNING_RATE;
    if (this.#since === since) this.#since = null;
  }

  /** Where several came, more are on their way: as long as they come, waiting a little makes one call out of many. */
  async #gather(): Promise<void> {
    for (let pauses = 0; pauses < GATHER_PAUSES_MAX; pauses++) {
      const before = this.#waiting.length;
      await pause(GATHER_PAUSE_MS);
      if (this.#waiting.length === before) return;
    }
  }

  #nextGroup(): Seat<T, R>[] {
    let weight = 0;
    let count = 0;
    for (const seat of this.#waiting) {
      if (count > 0 && weight + seat.weight > this.#limits.group) break;
      weight += seat.weight;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}
