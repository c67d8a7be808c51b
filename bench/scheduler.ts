import { parseArgs } from "node:util";
import { hardest, staircase, thisDesign } from "../shared/hardness/simulator/policies.ts";
import { SIZES } from "../shared/hardness/simulator/world.ts";
import type { Result } from "./run.ts";
import { outside } from "./scheduler/outside.ts";
import { writePlots } from "./scheduler/plots.ts";
import { cellsOf, simulateAll } from "./scheduler/pool.ts";
import { printTable, type Standing, standings } from "./scheduler/standings.ts";

/** What this design must reach, in hundredths of the way from uniform to the oracle. */
const TARGETS = { 60: { mean: 67, worst: 55 }, 300: { mean: 75, worst: 66 } } as const;

/**
 * SynthLoop: four learners in three scenarios, every policy in the same worlds (shared/hardness/simulator).
 * `--regions 60|300` (60), `--seeds N` (20), `--from SEED` (0), `--plots` draws docs/scheduler-<learner>.svg,
 * `--outside` runs published problems instead, as a check of the bandits.
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      regions: { type: "string", default: "60" },
      seeds: { type: "string", default: "20" },
      from: { type: "string", default: "0" },
      plots: { type: "boolean", default: false },
      outside: { type: "boolean", default: false },
    },
  });
  if (values.outside) return outside();
  const regions = sizeNamed(values.regions);
  const [seeds, from] = [whole(values.seeds, "seeds", 1), whole(values.from, "from", 0)];
  const started = performance.now();
  const runs = await simulateAll(cellsOf(regions, from, seeds));
  const seconds = (performance.now() - started) / 1_000;
  const table = standings(runs);
  printTable(`${regions} regions, seeds ${from} to ${from + seeds - 1}`, table);
  console.log(`${Math.round((runs.length * table.length * 40) / seconds)} rounds/s, ${seconds.toFixed(0)} s`);
  if (values.plots) await writePlots(runs);
  return verdicts(regions, table);
}

function sizeNamed(name: string): keyof typeof SIZES {
  if (name === "60" || name === "300") return Number(name) as keyof typeof SIZES;
  console.error(`bench scheduler: --regions ${name}: there are worlds of ${Object.keys(SIZES).join(" and ")} regions`);
  process.exit(2);
}

function whole(text: string, name: string, least: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  console.error(`bench scheduler: --${name} ${text}: must be a whole number of at least ${least}`);
  process.exit(2);
}

function verdicts(regions: keyof typeof SIZES, table: readonly Standing[]): Result[] {
  const of = ({ name }: { readonly name: string }) => table.find((standing) => standing.name === name) as Standing;
  const own = of(thisDesign);
  const { mean, worst } = TARGETS[regions];
  const result = (name: string, value: number, unit: string, op: Result["op"], target: number): Result => ({
    name,
    value,
    unit,
    op,
    target,
  });
  return [
    result("gap closed", own.mean, "%", ">=", mean),
    result("gap closed, worst cell", own.worst, "%", ">=", worst),
    result(`ahead of ${staircase.name}`, own.ahead / own.aheadError, "standard errors", ">=", 2),
    result("saturated pairs", own.saturated, "share", "<=", 0.01),
    result("error of predicted accuracy", own.error, "share", "<=", 0.1),
    result(`gap closed by ${hardest.name}`, of(hardest).mean, "%", "<=", 0),
  ];
}
