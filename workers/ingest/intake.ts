import { DurableObject } from "cloudflare:workers";
import type { Env } from "../env.ts";
import { ApiError } from "../http/errors.ts";
import { describeError, logEvent } from "../http/log.ts";
import { isTransient } from "../store/db.ts";
import { type StoredState, type Submission, storeFailures } from "../store/failures.ts";
import { addMetricsStatement, type MetricRow } from "../store/metrics.ts";
import { isLimitViolation, usageStatement } from "../store/usage.ts";
import { GroupCommit, Overloaded } from "./group-commit.ts";
import { IntakeCounters } from "./intake-counters.ts";
import { putAside } from "./overflow.ts";
import { answered, type Outcome, type Prepared, prepare, refused, type SentEvents } from "./prepare.ts";

const MINUTE_MS = 60_000;
/** Characters of events in one commit, and in all that may wait for one. */
const GROUP_CHARS = 1_200_000;
const WAITING_CHARS = 32_000_000;
/** How long counted metrics may stay in memory. */
const FLUSH_MS = 2_000;

/** Events to be stored: a request's, with what it uses of its key's limits, or such as were put aside. */
type Work = Pick<Prepared, "submission"> & Partial<Prepared>;
type Stored = readonly StoredState[];

/**
 * Reads and commits the events of concurrent requests together, and answers them after the commit. It holds nothing that
 * matters: what it has not answered is not acknowledged. Reading them here, one after the other, takes a fraction of the time
 * that each request would take alone, with cold caches.
 */
export class Intake extends DurableObject<Pick<Env, "DB" | "BLOBS" | "INTAKE_QUEUE">> {
  #counters = new IntakeCounters();
  /** Keys that have used up their minute, and when it ends; ms. */
  readonly #usedUp = new Map<string, number>();
  readonly #calls = new GroupCommit<readonly SentEvents[], readonly (Outcome | Error)[]>(
    (calls) => this.#answerCalls(calls),
    { group: GROUP_CHARS, waiting: WAITING_CHARS },
  );
  #flushing = false;

  /** Stores the events of requests that came together; one outcome each, or the error. Safe to repeat. */
  async submitAll(group: readonly SentEvents[]): Promise<readonly (Outcome | Error)[]> {
    const weight = group.reduce((sum, { text }) => sum + text.length, 0);
    const outcomes = await this.#calls.add(group, weight).catch((error) => {
      if (error instanceof Overloaded) return Promise.all(group.map((sent) => this.#prepareAside(sent).catch(asError)));
      throw error;
    });
    const now = Date.now();
    for (const [index, outcome] of outcomes.entries()) {
      if (!(outcome instanceof Error)) this.#counters.count(outcome, (now - (group[index]?.receivedAt ?? now)) / 1000);
    }
    this.#flushSoon();
    return outcomes;
  }

  /**
   * Stores events that were put aside. Safe to repeat.
   * @returns false when the database is still too busy
   */
  async submitLate(submission: Submission): Promise<boolean> {
    try {
      const [states] = await this.#store([{ submission }]);
      this.#counters.countLate(states ?? []);
      this.#flushSoon();
      return true;
    } catch (error) {
      if (!isTransient(error)) throw error;
      return false;
    }
  }

  /** What was counted and is not in the database yet. */
  metrics(): MetricRow[] {
    return this.#counters.rows();
  }

  async #answerCalls(calls: readonly (readonly SentEvents[])[]): Promise<(readonly (Outcome | Error)[])[]> {
    const outcomes = await this.#answerEach(calls.flat());
    let next = 0;
    return calls.map((call) => {
      next += call.length;
      return outcomes.slice(next - call.length, next);
    });
  }

  async #answerEach(group: readonly SentEvents[]): Promise<(Outcome | Error)[]> {
    const ready = await Promise.all(group.map((sent) => this.#prepare(sent)));
    const work = ready.filter((one): one is Prepared => !(one instanceof Error));
    const stored = work.length > 0 ? await this.#storeEach(work) : [];
    let at = 0;
    return Promise.all(
      ready.map(async (one) => {
        if (one instanceof ApiError) return refused(one);
        if (one instanceof Error) return one;
        const states = stored[at++];
        if (states instanceof ApiError) return refused(states);
        if (states instanceof Error) return isTransient(states) ? this.#putAside(one) : states;
        return states ? answered(one, states) : new Error("a request was neither stored nor refused");
      }),
    );
  }

  async #prepare(sent: SentEvents): Promise<Prepared | Error> {
    try {
      const retryAfterS = this.#secondsToWait(sent.keyId);
      if (retryAfterS > 0) throw limited(sent, retryAfterS);
      return await prepare(this.env.DB, sent);
    } catch (error) {
      return asError(error);
    }
  }

  /** When the database refuses the group, each request stands for itself, so that one cannot spoil the others'. */
  async #storeEach(work: readonly Prepared[]): Promise<(Stored | Error)[]> {
    try {
      return await this.#store(work);
    } catch (error) {
      const [only] = work;
      if (isTransient(error) || !only || work.length === 1) return work.map(() => this.#explain(only, error));
      const stored: (Stored | Error)[] = [];
      for (const one of work) stored.push(...(await this.#storeEach([one])));
      return stored;
    }
  }

  #store(work: readonly Work[]): Promise<Stored[]> {
    const submissions = work.map(({ submission }) => submission);
    return storeFailures(this.env.DB, submissions, this.#usage(work));
  }

  #usage(work: readonly Work[]): D1PreparedStatement[] {
    const minute = Math.floor(Date.now() / MINUTE_MS);
    const used = work.flatMap(({ sent, read }) => (sent && read ? [{ ...sent, events: read.length }] : []));
    return [...Map.groupBy(used, ({ keyId }) => keyId)].map(([keyId, ofKey]) => {
      const { eventsPerMinute: eventsLimit, requestsPerMinute: requestsLimit } = ofKey[0] as (typeof ofKey)[0];
      const events = ofKey.reduce((sum, one) => sum + one.events, 0);
      return usageStatement(this.env.DB, { keyId, minute, events, requests: 0, eventsLimit, requestsLimit });
    });
  }

  #explain(work: Prepared | undefined, error: unknown): Error {
    if (!work || !isLimitViolation(error)) return asError(error);
    const now = Date.now();
    for (const [keyId, until] of this.#usedUp) if (until <= now) this.#usedUp.delete(keyId);
    this.#usedUp.set(work.sent.keyId, (Math.floor(now / MINUTE_MS) + 1) * MINUTE_MS);
    return limited(work.sent, this.#secondsToWait(work.sent.keyId));
  }

  #secondsToWait(keyId: string): number {
    const until = this.#usedUp.get(keyId);
    return until === undefined ? 0 : Math.max(0, Math.ceil((until - Date.now()) / 1000));
  }

  async #prepareAside(sent: SentEvents): Promise<Outcome> {
    const prepared = await this.#prepare(sent);
    if (prepared instanceof ApiError) return refused(prepared);
    if (prepared instanceof Error) throw prepared;
    return this.#putAside(prepared);
  }

  /** Where nothing is valid there is nothing to be written down. */
  async #putAside(prepared: Prepared): Promise<Outcome> {
    try {
      if (prepared.submission.events.length > 0) await putAside(this.env, prepared.submission);
      return answered(prepared, "queued");
    } catch (error) {
      return error instanceof ApiError ? refused(error) : Promise.reject(error);
    }
  }

  /** Counters go to the database a moment later, many at once; losing the last of them is no loss of an event. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.ctx.waitUntil(new Promise((resume) => setTimeout(resume, FLUSH_MS)).then(() => this.#flush()));
  }

  async #flush(): Promise<void> {
    this.#flushing = false;
    const counted = this.#counters;
    this.#counters = new IntakeCounters();
    try {
      await addMetricsStatement(this.env.DB, counted.rows()).run();
    } catch (error) {
      this.#counters.merge(counted);
      logEvent("metrics-not-stored", describeError(error));
    }
  }
}

function limited({ eventsPerMinute }: SentEvents, retryAfterS: number): ApiError {
  const message = `This key may send ${eventsPerMinute} events a minute.`;
  return new ApiError("rate_limited", message, undefined, retryAfterS);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
