import fc from "fast-check";
import type { OperatorApi } from "../loop/api.ts";
import type { Case } from "./cases.ts";
import { type Answered, send } from "./check.ts";
import type { StoreReader } from "./store.ts";

export interface FuzzReport {
  readonly cases: number;
  readonly seconds: number;
  /** Answers by operation and status; status 0 is no answer. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Events answered `stored`, and how many of them were `queued` before. */
  readonly stored: number;
  readonly queued: number;
  readonly violation: Violation | null;
}

export interface Violation {
  readonly problem: string;
  /** With this seed, the cases of the batch that showed it are the same. */
  readonly seed: number;
  /** The smallest case that shows it by itself; null when it takes several. */
  readonly smallest: Case | null;
}

/** Cases between two looks into the database, and requests at once. */
const BATCH = 200;
const CONCURRENCY = 8;
/** How long queued events may take to be stored. */
const DRAIN_MS = 60_000;
const DRAIN_POLL_MS = 250;
const SHRINK_MS = 60_000;

/** Sends cases in batches, and looks into the database between them. */
export class Fuzzer {
  readonly #url: string;
  readonly #api: OperatorApi;
  readonly #store: StoreReader;
  readonly #cases: fc.Arbitrary<Case>;
  readonly #answers: Record<string, Record<string, number>> = {};
  #clients = 0;

  constructor(url: string, api: OperatorApi, store: StoreReader, cases: fc.Arbitrary<Case>) {
    this.#url = url;
    this.#api = api;
    this.#store = store;
    this.#cases = cases;
  }

  async run(cases: number, seed: number, tell: (line: string) => void): Promise<FuzzReport> {
    const startedAt = Date.now();
    const report = { cases: 0, stored: 0, queued: 0 };
    let violation: Violation | null = null;
    for (let batch = 0; report.cases < cases && !violation; batch++) {
      const ofBatch = { seed: seed + batch, numRuns: Math.min(BATCH, cases - report.cases) };
      const sent = fc.sample(this.#cases, ofBatch);
      const { answered, problem } = await this.#sendAll(sent);
      report.cases += sent.length;
      for (const { stored, queued } of answered) {
        report.stored += stored;
        report.queued += queued;
      }
      if (problem) violation = await this.#narrow(problem, ofBatch.seed, answered);
      tell(`${report.cases} cases, ${(report.cases / ((Date.now() - startedAt) / 1_000)).toFixed(0)} a second`);
    }
    return { ...report, seconds: (Date.now() - startedAt) / 1_000, answers: this.#answers, violation };
  }

  /** Sends cases with a key of a client of its own, several at once, and holds the database against the answers. */
  async #sendAll(cases: readonly Case[]): Promise<{ answered: Answered[]; problem: string | null }> {
    const key = await this.#newKey();
    const before = this.#store.failures();
    const answered: Answered[] = [];
    const queue = cases.entries();
    const worker = async () => {
      for (const [index, one] of queue) {
        const answer = await send(this.#url, key, one);
        answered[index] = answer;
        const counts = this.#answers[one.operation] ?? {};
        this.#answers[one.operation] = { ...counts, [answer.status]: (counts[answer.status] ?? 0) + 1 };
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    const wrong = answered.find(({ problem }) => problem !== null);
    return { answered, problem: wrong?.problem ?? (await this.#storeProblem(before, answered)) };
  }

  /** Nothing is stored but what was answered so: no part of a request that was refused. */
  async #storeProblem(before: number, answered: readonly Answered[]): Promise<string | null> {
    const stored = sum(answered.map((answer) => answer.stored));
    const queued = sum(answered.map((answer) => answer.queued));
    const until = Date.now() + (queued > 0 ? DRAIN_MS : 0);
    let added = this.#store.failures() - before;
    while (added < stored + queued && Date.now() < until) {
      await new Promise((resume) => setTimeout(resume, DRAIN_POLL_MS));
      added = this.#store.failures() - before;
    }
    // Of queued events some may have been there already.
    if (added < stored || added > stored + queued) {
      return `${added} events were stored, ${stored} were answered "stored" and ${queued} "queued"`;
    }
    const [problem] = this.#store.look().problems;
    return problem ?? null;
  }

  /** Looks for a single case of the batch that shows the problem, and for the smallest like it. */
  async #narrow(problem: string, seed: number, answered: readonly Answered[]): Promise<Violation> {
    const wrong = answered.findIndex((answer) => answer.problem !== null);
    const suspects = wrong >= 0 ? [wrong] : answered.keys();
    for (const index of suspects) {
      const property = fc.asyncProperty(this.#cases, async (one) => {
        const alone = await this.#sendAll([one]);
        if (alone.problem) throw new Error(alone.problem);
      });
      // The path leads to the case of this index among those that the seed makes.
      const options = { seed, path: String(index), numRuns: 1, interruptAfterTimeLimit: SHRINK_MS };
      const { counterexample, errorInstance } = await fc.check(property, options);
      const [smallest] = counterexample ?? [];
      if (smallest) return { problem: (errorInstance as Error).message, seed, smallest };
    }
    return { problem, seed, smallest: null };
  }

  async #newKey(): Promise<string> {
    this.#clients += 1;
    return (await this.#api.createKey(`fuzz ${this.#clients}`, ["ingest"], 1_000)).key;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
