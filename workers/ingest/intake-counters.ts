import type { Env } from "../env.ts";
import type { StoredState } from "../store/failures.ts";
import { type MetricRow, readMetrics } from "../store/metrics.ts";
import { intakeObject } from "./intake-object.ts";
import type { Outcome } from "./prepare.ts";

/** Upper bounds of the latency histogram; seconds. */
export const LATENCY_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const;

export const EVENTS_TOTAL = "nearmiss_intake_events_total";
export const REFUSED_TOTAL = "nearmiss_intake_refused_total";
export const INTAKE_SECONDS = "nearmiss_intake_seconds";

/** What the intake counts for Prometheus. */
export class IntakeCounters {
  readonly #events = new Map<string, number>();
  /** Requests that were refused as a whole, by code. */
  readonly #refused = new Map<string, number>();
  /** Requests by the first bucket that they fit in; the last is for the slower ones. */
  readonly #buckets = new Float64Array(LATENCY_BUCKETS_S.length + 1);
  #seconds = 0;

  /** @param seconds from the request's arrival to its answer; only answers after a commit go into the histogram */
  count(outcome: Outcome, seconds: number): void {
    if (outcome.kind === "refused") {
      this.#refused.set(outcome.code, (this.#refused.get(outcome.code) ?? 0) + 1);
      return;
    }
    for (const [status, n] of Object.entries(outcome.counts)) this.#add(status, n);
    if (!outcome.counts.queued) this.#observe(seconds);
  }

  /** Events that were answered `queued` before, and are stored now. */
  countLate(states: readonly StoredState[]): void {
    for (const state of states) this.#add(state, 1);
  }

  /** Adds what others counted. */
  merge(others: IntakeCounters): void {
    for (const [status, n] of others.#events) this.#add(status, n);
    for (const [code, n] of others.#refused) this.#refused.set(code, (this.#refused.get(code) ?? 0) + n);
    for (const [bucket, n] of others.#buckets.entries()) this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + n;
    this.#seconds += others.#seconds;
  }

  /** The counters that are not zero; buckets are cumulative, as Prometheus has them. */
  rows(): MetricRow[] {
    const events = [...this.#events].map(([status, value]) => ({
      name: EVENTS_TOTAL,
      labels: `status="${status}"`,
      value,
    }));
    const refused = [...this.#refused].map(([code, value]) => ({
      name: REFUSED_TOTAL,
      labels: `code="${code}"`,
      value,
    }));
    let requests = 0;
    const buckets = [...LATENCY_BUCKETS_S, "+Inf"].map((bound, bucket) => {
      requests += this.#buckets[bucket] ?? 0;
      return { name: `${INTAKE_SECONDS}_bucket`, labels: `le="${bound}"`, value: requests };
    });
    const sums = [
      { name: `${INTAKE_SECONDS}_sum`, labels: "", value: this.#seconds },
      { name: `${INTAKE_SECONDS}_count`, labels: "", value: requests },
    ];
    return [...events, ...refused, ...buckets, ...sums].filter(({ value }) => value !== 0);
  }

  #observe(seconds: number): void {
    const found = LATENCY_BUCKETS_S.findIndex((bound) => seconds <= bound);
    const bucket = found < 0 ? LATENCY_BUCKETS_S.length : found;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#seconds += seconds;
  }

  #add(status: string, events: number): void {
    if (events > 0) this.#events.set(status, (this.#events.get(status) ?? 0) + events);
  }
}

/** Everything counted: what the database has, and what the intake has not handed over yet. A row may come twice. */
export async function allMetrics(env: Pick<Env, "DB" | "INTAKE">): Promise<MetricRow[]> {
  const [stored, fresh] = await Promise.all([readMetrics(env.DB), intakeObject(env).metrics()]);
  return [...stored, ...fresh];
}
