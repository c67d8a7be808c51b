/** Work that waits is refused above this. */
export class Overloaded extends Error {
  override readonly name = "Overloaded";
}

/** How long a pause between two arrivals may be for a group to go on gathering, and how many such pauses. */
const GATHER_PAUSE_MS = 2;
const GATHER_PAUSES_MAX = 10;

interface Waiting<T, R> {
  readonly item: T;
  readonly weight: number;
  resolve(result: R): void;
  reject(error: unknown): void;
}

export interface GroupLimits {
  /** Weight that one commit takes; a single heavier item goes alone. */
  readonly group: number;
  /** Weight that may wait. */
  readonly waiting: number;
}

/**
 * Commits what comes in at the same time together: while one commit is under way the next items gather. One at a time, in the
 * order of arrival. A database that takes a transaction of many rows in hardly more time than one of a single row answers
 * many times as many callers this way (group commit: DeWitt et al., SIGMOD 1984).
 */
export class GroupCommit<T, R> {
  readonly #commit: (items: readonly T[]) => Promise<readonly (R | Error)[]>;
  readonly #limits: GroupLimits;
  #waiting: Waiting<T, R>[] = [];
  #waitingWeight = 0;
  #running = false;
  /** Whether several came lately. */
  #crowded = false;

  /** @param commit gives one result or error per item, in order; when it throws, every item of the group fails with its error */
  constructor(commit: (items: readonly T[]) => Promise<readonly (R | Error)[]>, limits: GroupLimits) {
    this.#commit = commit;
    this.#limits = limits;
  }

  /**
   * The item's result, once its group is committed.
   * @throws {Overloaded} at once when too much waits already
   * @throws what the commit throws
   */
  add(item: T, weight: number): Promise<R> {
    if (this.#waitingWeight > 0 && this.#waitingWeight + weight > this.#limits.waiting) {
      return Promise.reject(new Overloaded("too much waits to be stored"));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, weight, resolve, reject });
      this.#waitingWeight += weight;
      if (!this.#running) this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      if (this.#crowded) await this.#gather();
      const group = this.#nextGroup();
      this.#crowded = group.length > 1 || this.#waiting.length > 0;
      try {
        const results = await this.#commit(group.map(({ item }) => item));
        group.forEach(({ resolve, reject }, index) => {
          const result = results[index] as R | Error;
          if (result instanceof Error) reject(result);
          else resolve(result);
        });
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#running = false;
  }

  /** Where several came, more are on their way: as long as they come, waiting a little makes one commit out of many. */
  async #gather(): Promise<void> {
    for (let pauses = 0; pauses < GATHER_PAUSES_MAX; pauses++) {
      const before = this.#waiting.length;
      await new Promise((resume) => setTimeout(resume, GATHER_PAUSE_MS));
      if (this.#waiting.length === before || this.#waitingWeight >= this.#limits.group) return;
    }
  }

  #nextGroup(): Waiting<T, R>[] {
    let weight = 0;
    let count = 0;
    for (const one of this.#waiting) {
      if (count > 0 && weight + one.weight > this.#limits.group) break;
      weight += one.weight;
      count += 1;
    }
    this.#waitingWeight -= weight;
    return this.#waiting.splice(0, count);
  }
}
