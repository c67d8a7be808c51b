import { pause, WaitingLine } from "./waiting-line.ts";

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
const GATHERING = { pauseMs: 1, pausesMax: 8 };
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
  readonly #lostMs: number;
  readonly #line: WaitingLine<Seat<T, R>>;
  /** When the present driver set off; ms, null when nobody drives. */
  #since: number | null = null;
  /** Moving average of how long a drive takes. */
  #usualMs = 0;

  /** @param drive gives one result or error per item, in order; when it throws, every item of the group fails with its error */
  constructor(drive: (items: readonly T[]) => Promise<readonly (R | Error)[]>, { group, lostMs }: CarpoolLimits) {
    this.#drive = drive;
    this.#lostMs = lostMs;
    this.#line = new WaitingLine({ group, ...GATHERING });
  }

  /**
   * The item's result.
   * @param keepAlive is given what must go on though this request is cancelled: others depend on it
   * @throws {Stranded} when the driver is lost; the item may have arrived or not
   * @throws what driving throws
   */
  async ride(item: T, weight: number, keepAlive: (work: Promise<unknown>) => void): Promise<R> {
    const seat: Seat<T, R> = { item, weight, arrived: null };
    this.#line.join(seat);
    const startedAt = Date.now();
    while (seat.arrived === null) {
      if (this.#isFree()) {
        const work = this.#goNext();
        keepAlive(work);
        await work;
      } else if (Date.now() - startedAt > this.#lostMs) {
        this.#line.leave(seat);
        throw new Stranded("the events are with a request that was lost");
      } else await pause(Math.max(LOOK_MS, this.#msToArrival()));
    }
    const { result } = seat.arrived;
    if (result instanceof Error) throw result;
    return result;
  }

  #isFree(): boolean {
    return this.#since === null || Date.now() - this.#since > this.#lostMs;
  }

  /** Going by how long the last drives took. */
  #msToArrival(): number {
    return (this.#since ?? 0) + this.#usualMs - Date.now();
  }

  /** Never throws. */
  async #goNext(): Promise<void> {
    const since = Date.now();
    this.#since = since;
    if (this.#line.isCrowded) await this.#line.gather();
    const seats = this.#line.take();
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
}
