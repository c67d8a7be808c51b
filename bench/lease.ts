import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { serveBare } from "../scripts/edge/bare.ts";
import { bundleWorker } from "../scripts/edge/bundle.ts";
import { fillBare, fillReady, leasesNow, type ReadableDatabase, startAt } from "./lease/fill.ts";
import type { Asked, Claimed } from "./lease/reads.ts";
import type { Result } from "./run.ts";
import { type Database, fillRegions } from "./tick/fill.ts";

const ROOT = dirname(import.meta.dirname);
const REGIONS = 300;
const PAIRS = [10_000, 1_000_000] as const;
const BATCH_PAIRS = 2_000;
/** Claims of which the fastest counts, after some to warm up: what else the machine does must not. */
const CLAIMS = 15;
const WARM_UP = 3;
const TRAINERS = 20;
const GROWTH_MAX = 1.3;
const READS_MAX = 2;

interface Measured extends Claimed {
  readonly pairs: number;
}

/**
 * What a batch of 2,000 costs, from 10 thousand ready pairs over 300 regions and from a million, in turn; then 20 trainers that
 * claim from the million at once. `--pairs N` for another size than a million.
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({ args: [...args], options: { pairs: { type: "string", default: String(PAIRS[1]) } } });
  const bundle = await bundleWorker(join(import.meta.dirname, "lease/worker.ts"), false);
  const stores: Store[] = [];
  try {
    for (const pairs of [PAIRS[0], Number(values.pairs)]) stores.push(await openStore(bundle, pairs));
    const measured = await fastestClaims(stores);
    const race = await raceIn(stores.at(-1));
    console.log(tableOf(measured));
    return verdicts(measured, race);
  } finally {
    for (const store of stores) await store.close();
  }
}

/** An edge with so many ready pairs. */
interface Store {
  readonly pairs: number;
  ask(body: Asked): Promise<Claimed>;
  leases(): ReturnType<typeof leasesNow>;
  close(): Promise<void>;
}

async function openStore(bundle: string, pairs: number): Promise<Store> {
  const begun = performance.now();
  const state = mkdtempSync(join(tmpdir(), "nearmiss-lease-"));
  const { miniflare, db: d1, url } = await serveBare({ root: ROOT, state, contents: bundle });
  const db = d1 as unknown as Database;
  await fillRegions(db, REGIONS);
  await startAt(db, BATCH_PAIRS);
  await fillBare(db, () => fillReady(db, pairs));
  console.error(`${pairs} ready pairs after ${((performance.now() - begun) / 1_000).toFixed(0)} s`);
  return {
    pairs,
    async ask(body) {
      const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as Claimed;
    },
    leases: () => leasesNow(d1 as unknown as ReadableDatabase),
    async close() {
      await miniflare.dispose();
      rmSync(state, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function fastestClaims(stores: readonly Store[]): Promise<Measured[]> {
  const claims: Measured[] = [];
  for (let i = 0; i < WARM_UP + CLAIMS; i++) {
    for (const { pairs, ask } of stores) {
      const claimed = await ask({ trainer: "bench", release: true });
      if (claimed.round === null) throw new Error(`nothing was leased: ${claimed.reason}`);
      if (i >= WARM_UP) claims.push({ pairs, ...claimed });
    }
  }
  claims.sort((a, b) => a.ms - b.ms);
  return stores.flatMap((store) => claims.find(({ pairs }) => pairs === store.pairs) ?? []);
}

interface Race {
  readonly rounds: number;
  /** Pairs that more than one of the rounds leased. */
  readonly twice: number;
}

async function raceIn(store: Store | undefined): Promise<Race> {
  if (!store) throw new Error("there is no store to race in");
  const trainers = Array.from({ length: TRAINERS }, (_, i) => store.ask({ trainer: `racer ${i}`, release: false }));
  const claims = await Promise.all(trainers);
  const rounds = claims.filter(({ round }) => round !== null).length;
  const { leased, claimed } = await store.leases();
  console.error(`${TRAINERS} trainers at once: ${rounds} rounds, ${leased} pairs leased, ${claimed} in rounds`);
  return { rounds, twice: claimed - leased };
}

function tableOf(measured: readonly Measured[]): string {
  const table = new Table({
    head: ["ready pairs", "leased", "claim", "statements", "pairs read", "statistics read", "read by its writes"],
    style: { head: [], border: [] },
  });
  for (const { pairs, leased, ms, reads } of measured) {
    table.push([pairs, leased, `${ms} ms`, reads.statements, reads.pairs, reads.statistics, reads.writes]);
  }
  return table.toString();
}

function verdicts(measured: readonly Measured[], race: Race): Result[] {
  const [few, many] = [measured[0], measured.at(-1)];
  if (!few || !many) return [];
  const perPair = (rows: number) => rows / many.leased;
  const { pairs, statistics, writes } = many.reads;
  return [
    {
      name: `claim from ${many.pairs} against ${few.pairs}`,
      value: many.ms / few.ms,
      unit: "x",
      op: "<=",
      target: GROWTH_MAX,
    },
    { name: "pairs leased", value: many.leased, unit: "pairs", op: ">=", target: BATCH_PAIRS },
    { name: "pairs read per pair leased", value: perPair(pairs), unit: "rows", op: "<=", target: READS_MAX },
    { name: "the same with statistics", value: perPair(pairs + statistics), unit: "rows", op: "<=", target: READS_MAX },
    {
      name: "the same with what D1 counts for the writes",
      value: perPair(pairs + statistics + writes),
      unit: "rows",
      op: "<=",
      target: READS_MAX,
    },
    { name: `rounds for ${TRAINERS} trainers at once`, value: race.rounds, unit: "rounds", op: ">=", target: TRAINERS },
    { name: "pairs in two of their leases", value: race.twice, unit: "pairs", op: "<=", target: 0 },
  ];
}
