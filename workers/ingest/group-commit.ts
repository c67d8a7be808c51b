import { WaitingLine } from "./waiting-line.ts";

/** Work that waits is refused above this. */
export class Overloaded extends Error {
  override readonly name = "Overloaded";
}

const GATHERING = { pauseMs: 2, pausesMax: 10 };

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
  readonly #waitingMax: number;
  readonly #line: WaitingLine<Waiting<T, R>>;
  #running = false;

  /** @param commit gives one result or error per item, in order; when it throws, every item of the group fails with its error */
  constructor(commit: (items: readonly T[]) => Promise<readonly (R | Error)[]>, { group, waiting }: GroupLimits) {
    this.#commit = commit;
    this.#waitingMax = waiting;
    this.#line = new WaitingLine({ group, ...GATHERING });
  }

  /**
   * The item's result, once its group is committed.
   * @throws {Overloaded} at once when too much waits already
   * @throws what the commit throws
   */
  add(item: T, weight: number): Promise<R> {
    if (this.#line.weight > 0 && this.#line.weight + weight > this.#waitingMax) {
      return Promise.reject(new Overloaded("too much waits to be stored"));
    }
    return new Promise((resolve, reject) => {
      this.#line.join({ item, weight, resolve, reject });
      if (!this.#running) this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#line.length > 0) {
      if (this.#line.isCrowded) await this.#line.gather();
      const group = this.#line.take();
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
}
