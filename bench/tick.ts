import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import Table from "cli-table3";
import { serveBare } from "../scripts/edge/bare.ts";
import { bundleWorker } from "../scripts/edge/bundle.ts";
import type { Result } from "./run.ts";
import { type Database, fillPairs, fillRegions, renew } from "./tick/fill.ts";

const ROOT = dirname(import.meta.dirname);
const REGIONS = [60, 3_000, 20_000] as const;
const PAIRS = [10_000, 1_000_000] as const;
/** Ticks made again from memory, after some to warm up; their mean counts. */
const AGAIN = 9;
const WARM_UP = 15;
/** Ticks with their database, of which the middle one counts. */
const TICKS = 3;
const COMPUTATION_MAX_MS = 50;
const GROWTH_MAX = 1.05;

/** A tick as `tick/worker.ts` is asked for it, in Node or in workerd. */
type Ask = (body: Asked) => Promise<Read>;
interface Asked {
  readonly part: "tick" | "plan" | "all";
  readonly slot: string;
  readonly now: number;
}
interface Read {
  readonly rowsRead: number;
  readonly statements: number;
}

interface Measured extends Read {
  readonly regions: number;
  readonly pairs: number;
  readonly wholeMs: number;
  readonly nodeMs: Computation;
  readonly workerdMs: Computation;
  readonly heapMb: number;
}

/** ms of the plan, in Node of processor time: from the rows in memory to the inputs, the plan, their texts and hashes; and of all that is not the database's. */
interface Computation {
  readonly plan: number;
  readonly all: number;
}

/**
 * What a tick costs: its computation from memory, in Node and in workerd; the whole tick; and the rows that it reads. `--regions N` and `--pairs N` measure one size only.
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({
    args: [...args],
    options: { regions: { type: "string" }, pairs: { type: "string" } },
  });
  const regionCounts = values.regions === undefined ? REGIONS : [Number(values.regions)];
  const pairCounts = values.pairs === undefined ? PAIRS : [Number(values.pairs)];
  const bundle = await bundleWorker(join(import.meta.dirname, "tick/worker.ts"), false);
  const measured: Measured[] = [];
  for (const regions of regionCounts) measured.push(...(await withRegions(bundle, regions, pairCounts)));
  const table = new Table({
    head: [
      "regions",
      "pairs",
      "plan in Node",
      "in workerd",
      "+ orders",
      "in workerd",
      "whole",
      "heap",
      "queries",
      "rows read",
    ],
    style: { head: [], border: [] },
  });
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  for (const one of measured) {
    const { regions, pairs, nodeMs, workerdMs, wholeMs, heapMb, statements, rowsRead } = one;
    const computed = [nodeMs.plan, workerdMs.plan, nodeMs.all, workerdMs.all].map(ms);
    table.push([regions, pairs, ...computed, ms(wholeMs), `${heapMb.toFixed(1)} MB`, statements, rowsRead]);
  }
  console.log(table.toString());
  return verdicts(measured);
}

function verdicts(measured: readonly Measured[]): Result[] {
  const results: Result[] = [];
  for (const [regions, cells] of Map.groupBy(measured, (one) => one.regions)) {
    const [few, many] = [cells[0], cells.at(-1)];
    if (!few || !many) continue;
    const worst = Math.max(...cells.map(({ nodeMs }) => nodeMs.plan));
    results.push({
      name: `computation at ${regions} regions`,
      value: worst,
      unit: "ms",
      op: "<=",
      target: COMPUTATION_MAX_MS,
    });
    if (few === many) continue;
    const name = `rows read at ${regions} regions, ${many.pairs} pairs against ${few.pairs}`;
    results.push({ name, value: many.rowsRead / few.rowsRead, unit: "x", op: "<=", target: GROWTH_MAX });
  }
  return results;
}

/** Measures with few pairs first, then with more in the same store. */
async function withRegions(bundle: string, regions: number, pairCounts: readonly number[]): Promise<Measured[]> {
  const state = mkdtempSync(join(tmpdir(), "nearmiss-tick-"));
  const program = join(state, "tick.mjs");
  writeFileSync(program, bundle);
  const { miniflare, db, url } = await serveBare({ root: ROOT, state, contents: bundle });
  try {
    await fillRegions(db as unknown as Database, regions);
    const inWorkerd: Ask = async (body) => readAnswer(await fetch(url, { method: "POST", body: JSON.stringify(body) }));
    const { default: worker } = (await import(pathToFileURL(program).href)) as { default: WorkerModule };
    const env = { DB: db, BLOBS: await miniflare.getR2Bucket("BLOBS") };
    const inNode: Ask = async (body) => {
      const request = new Request("http://tick", { method: "POST", body: JSON.stringify(body) });
      return readAnswer(await silently(() => worker.fetch(request, env)));
    };
    const measured: Measured[] = [];
    let filled = 0;
    for (const pairs of pairCounts) {
      await fillPairs(db as unknown as Database, filled, pairs);
      filled = pairs;
      const figures = await measure(db as unknown as Database, `${pairs}`, inNode, inWorkerd);
      measured.push({ regions, pairs, ...figures });
      console.error(`${regions} regions, ${pairs} pairs: ${JSON.stringify(figures)}`);
    }
    return measured;
  } finally {
    await miniflare.dispose();
    rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What the Worker logs is not the benchmark's to print. */
async function silently<T>(run: () => Promise<T>): Promise<T> {
  const { log } = console;
  console.log = () => {};
  try {
    return await run();
  } finally {
    console.log = log;
  }
}

interface WorkerModule {
  fetch(request: Request, env: object): Promise<Response>;
}

async function readAnswer(response: Response): Promise<Read> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${text}`);
  return JSON.parse(text) as Read;
}

async function measure(
  db: Database,
  name: string,
  inNode: Ask,
  inWorkerd: Ask,
): Promise<Omit<Measured, "regions" | "pairs">> {
  const now = Date.now();
  const ticks: { read: Read; ms: number }[] = [];
  for (let i = 0; i < TICKS; i++) {
    await renew(db);
    const begun = performance.now();
    const read = await inWorkerd({ part: "tick", slot: `${name}/${i}`, now });
    ticks.push({ read, ms: performance.now() - begun });
  }
  ticks.sort((a, b) => a.ms - b.ms);
  const middle = ticks[Math.floor(TICKS / 2)];
  if (!middle) throw new Error("no tick was made");
  await renew(db);
  await inNode({ part: "tick", slot: `${name}/node`, now });
  const again = { slot: `${name}/again`, now };
  return {
    ...middle.read,
    wholeMs: middle.ms,
    nodeMs: await computation(inNode, again, threadMs),
    workerdMs: await computation(inWorkerd, again, () => performance.now()),
    heapMb: await heapOf(() => inNode({ ...again, part: "all" })),
  };
}

async function computation(ask: Ask, again: Omit<Asked, "part">, clock: () => number): Promise<Computation> {
  const timed = async (part: Asked["part"]) => {
    for (let i = 0; i < WARM_UP; i++) await ask({ ...again, part });
    const begun = clock();
    for (let i = 0; i < AGAIN; i++) await ask({ ...again, part });
    return (clock() - begun) / AGAIN;
  };
  return { plan: await timed("plan"), all: await timed("all") };
}

/** ms of processor time that this thread has had: other work on the machine is not in it. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** MB that one tick from memory leaves on the heap before anything is collected; the rows in memory are not among them. */
async function heapOf(tick: () => Promise<unknown>): Promise<number> {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const before = process.memoryUsage().heapUsed;
  await tick();
  return (process.memoryUsage().heapUsed - before) / 1e6;
}
