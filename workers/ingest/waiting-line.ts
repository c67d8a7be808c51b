interface Waiting {
  readonly weight: number;
}

export interface LineLimits {
  /** Weight that is taken at once; a single heavier one is taken alone. */
  readonly group: number;
  /** How long a pause between two arrivals may be for a group to go on gathering; ms. */
  readonly pauseMs: number;
  /** How many such pauses at most. */
  readonly pausesMax: number;
}

/** Those who wait, in the order of arrival, and are taken in groups. */
export class WaitingLine<W extends Waiting> {
  readonly #limits: LineLimits;
  readonly #waiting: W[] = [];
  #weight = 0;
  /** Whether several came lately. */
  #crowded = false;

  constructor(limits: LineLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get weight(): number {
    return this.#weight;
  }

  join(one: W): void {
    this.#waiting.push(one);
    this.#weight += one.weight;
  }

  /** One that was taken already is not there any more. */
  leave(one: W): void {
    const at = this.#waiting.indexOf(one);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#weight -= one.weight;
  }

  /** Whether several came lately: then it is worth it to `gather` before the next group is taken. */
  get isCrowded(): boolean {
    return this.#crowded;
  }

  /** The next group, which waits no more. */
  take(): W[] {
    let weight = 0;
    let count = 0;
    for (const one of this.#waiting) {
      if (count > 0 && weight + one.weight > this.#limits.group) break;
      weight += one.weight;
      count += 1;
    }
    const group = this.#waiting.splice(0, count);
    this.#weight -= weight;
    this.#crowded = group.length > 1 || this.#waiting.length > 0;
    return group;
  }

  /** Where several came, more are on their way: as long as they come, waiting a little makes one group out of many. */
  async gather(): Promise<void> {
    for (let pauses = 0; pauses < this.#limits.pausesMax; pauses++) {
      const before = this.#waiting.length;
      await pause(this.#limits.pauseMs);
      if (this.#waiting.length === before || this.#weight >= this.#limits.group) return;
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}
