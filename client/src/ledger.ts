import type { Waiting } from "./waiting.ts";

/** How the API can answer for one event. */
export const STATUSES = ["stored", "duplicate", "conflict", "invalid", "queued"] as const;
export type Status = (typeof STATUSES)[number];

/** What became of the events so far, each counted once; `waiting` ones are in memory. */
export interface Stats {
  stored: number;
  /** Stored before: the same event, sent once more. */
  duplicate: number;
  /** Another event has this id; that one stands. */
  conflict: number;
  /** Refused by the API, or by the reporter because the API could never take it. */
  invalid: number;
  /** Written down by the API, to be stored when its database is less busy. */
  queued: number;
  /** The memory was full, the redaction hook failed, or the reporter was closed. */
  dropped: number;
  /** Left out by `sampleRate`. */
  sampledOut: number;
  /** Left out by the redaction hook. */
  redacted: number;
  waiting: number;
  waitingBytes: number;
  /** Images uploaded. */
  images: number;
  failedRequests: number;
}

/** Something went wrong. Fit for a log: it holds neither keys nor what the event says. */
export interface Problem {
  what: "invalid" | "conflict" | "dropped" | "image" | "unsent";
  message: string;
  eventId?: string;
}

/** What became of each event, and the memory that the waiting ones take. */
export class Ledger {
  readonly #limits: { readonly events: number; readonly bytes: number };
  readonly #onError: (problem: Problem) => unknown;
  readonly #counts: Stats = {
    stored: 0,
    duplicate: 0,
    conflict: 0,
    invalid: 0,
    queued: 0,
    dropped: 0,
    sampledOut: 0,
    redacted: 0,
    waiting: 0,
    waitingBytes: 0,
    images: 0,
    failedRequests: 0,
  };
  #telling = false;

  constructor(limits: { readonly events: number; readonly bytes: number }, onError: (problem: Problem) => unknown) {
    this.#limits = limits;
    this.#onError = onError;
  }

  get isFull(): boolean {
    return this.#counts.waiting >= this.#limits.events;
  }

  /** False when there is no room for it. */
  admit(event: Waiting): boolean {
    if (this.isFull || this.#counts.waitingBytes + event.memory > this.#limits.bytes) return false;
    this.#counts.waiting += 1;
    this.#counts.waitingBytes += event.memory;
    return true;
  }

  /** An admitted event waits no longer. */
  end(event: Waiting, outcome: Status | "dropped"): void {
    this.#counts.waiting -= 1;
    this.#counts.waitingBytes -= event.memory;
    this.#counts[outcome] += 1;
  }

  count(what: "invalid" | "dropped" | "sampledOut" | "redacted" | "images" | "failedRequests"): void {
    this.#counts[what] += 1;
  }

  /** A problem that the host's own handler makes is not told to it. */
  tell(problem: Problem): void {
    if (this.#telling) return;
    this.#telling = true;
    try {
      Promise.resolve(this.#onError(problem)).catch(() => {});
    } catch {
      // The handler's failure is not the reporter's, and must not become the host's.
    } finally {
      this.#telling = false;
    }
  }

  stats(): Stats {
    return { ...this.#counts };
  }
}
