import type { EventResult } from "../../shared/contracts/ingest.ts";
import { shuffled } from "../../shared/edits/random.ts";
import { type CrashEvent, crashEvent, type Expected } from "./workload.ts";

/** What one client knows of one event. */
export interface Entry {
  readonly event: CrashEvent;
  readonly expected: Expected;
  /** Requests that carried it. */
  sent: number;
  /** Answers by status. */
  readonly answers: Partial<Record<EventResult["status"], number>>;
}

const ACKNOWLEDGED = ["stored", "duplicate", "queued"] as const;

export function isAcknowledged({ answers }: Entry): boolean {
  return ACKNOWLEDGED.some((status) => answers[status] !== undefined);
}

/** The events of one client. Two clients use the same event ids, which are ids within a client only. */
export class Ledger {
  readonly clientId: string;
  readonly key: string;
  readonly entries: Entry[] = [];
  readonly #random: () => number;
  /** Events that no request in flight will acknowledge: they were never sent, or their answer did not come. */
  #open: Entry[] = [];

  constructor(client: { readonly clientId: string; readonly key: string }, random: () => number) {
    this.clientId = client.clientId;
    this.key = client.key;
    this.#random = random;
  }

  get open(): number {
    return this.#open.length;
  }

  /**
   * The events of the next request: what is still open in any order, then new ones up to `size`, and now and then some that were
   * acknowledged before.
   */
  draw(size: number, fresh: boolean): Entry[] {
    this.#open = shuffled(this.#open, this.#random);
    const drawn = this.#open.splice(0, size);
    while (fresh && drawn.length < size) {
      const entry = { ...crashEvent(this.entries.length, this.#random), sent: 0, answers: {} };
      this.entries.push(entry);
      drawn.push(entry);
    }
    return drawn;
  }

  /** Some events that were acknowledged before: sending them again must change nothing. */
  drawAcknowledged(size: number): Entry[] {
    const some = Array.from({ length: size }, () => this.entries[Math.floor(this.#random() * this.entries.length)]);
    return some.filter((entry) => entry !== undefined).filter(isAcknowledged);
  }

  /** Takes back what a request did not get acknowledged. */
  reopen(entries: readonly Entry[]): void {
    this.#open.push(...entries.filter((entry) => !isAcknowledged(entry)));
  }
}
