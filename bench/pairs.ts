import { parseArgs } from "node:util";
import Table from "cli-table3";
import { DEFAULT_POLICY, type PairsPolicy } from "../shared/contracts/policy.ts";
import { type EndedPair, simulate } from "./pairs/simulation.ts";
import type { Kind, World } from "./pairs/world.ts";
import type { Result } from "./run.ts";

/** The policy's defaults were chosen on seeds from 1 on; these results are of other ones. */
const FIRST_SEED = 1_000;

/**
 * The scale of gaps is that of the bundled model's own rounds: within a region they spread by 3 to 5 nats and 57 to 95 % of fresh
 * pairs are preferred; a round moves the gaps of the pairs trained on by 0.3 to 3 nats on average, with a correlation of 0.87 to 0.99.
 */
const MEASURED: World = {
  name: "as measured",
  aim: 0.8,
  ability: [0.8, 0.8],
  learning: 0.35,
  memory: 1,
  drift: 0.8,
  odd: 0,
  scored: "all",
};
const WORLDS: readonly World[] = [
  MEASURED,
  { ...MEASURED, name: "as batches are drawn", scored: "drawn" },
  { ...MEASURED, name: "odd pairs", odd: 0.1 },
  { ...MEASURED, name: "learned by heart", memory: 3, drift: 1.5 },
  { ...MEASURED, name: "ordered at even odds", aim: 0.5 },
];
/** Posteriors from which pairs could be doubted. */
const SWEEP = [0.5, 0.2, 0.1, 0.06, 0.04] as const;

/**
 * Pairs over eight rounds, 4 % of them with swapped answers and 6 % without a better one, in five worlds that differ in what they
 * assume (`pairs/world.ts`); the Worker's own code decides what becomes of them. A second judge refuses 75 % of the swapped pairs,
 * 40 % of the nulls and 5 % of the right ones. `--seeds N` (60) deployments of 2,880 pairs in each world, `--first SEED` (1000).
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({
    args: [...args],
    options: { seeds: { type: "string", default: "60" }, first: { type: "string", default: String(FIRST_SEED) } },
  });
  const seeds = Array.from({ length: Number(values.seeds) }, (_, n) => Number(values.first) + n);
  const measure = (world: World, changes: Partial<PairsPolicy> = {}) =>
    sharesOf(
      seeds.flatMap((seed) =>
        simulate(world, seed, { ...DEFAULT_POLICY, pairs: { ...DEFAULT_POLICY.pairs, ...changes } }),
      ),
    );
  const measured = WORLDS.map((world) => ({ name: world.name, shares: measure(world) }));
  print("world", measured);
  print(
    `${MEASURED.name}, doubted from`,
    SWEEP.map((flipPosterior) => ({ name: String(flipPosterior), shares: measure(MEASURED, { flipPosterior }) })),
  );
  return measured.flatMap(({ name, shares }) => verdicts(name, shares));
}

/** What is counted: of which pairs (all without a kind), and which of them. */
const COUNTS = {
  "right: rejected": ["clean", isRejected],
  "right: at rest by mistake": ["clean", isAtRestByMistake],
  "right: checked again": ["clean", isDoubted],
  "right: saturated": ["clean", isSaturated],
  "swapped: rejected": ["flip", isRejected],
  "swapped: checked again": ["flip", isDoubted],
  "swapped: saturated": ["flip", isSaturated],
  "null: rejected": ["null", isRejected],
  "null: checked again": ["null", isDoubted],
  "all: checked again": [null, isDoubted],
} as const satisfies Record<string, readonly [Kind | null, (pair: EndedPair) => boolean]>;
type Shares = Readonly<Record<keyof typeof COUNTS, number>>;

function isRejected({ state }: EndedPair): boolean {
  return state === "rejected";
}

function isSaturated({ state }: EndedPair): boolean {
  return state === "saturated";
}

function isDoubted({ doubted }: EndedPair): boolean {
  return doubted;
}

/** Saturated though the last model prefers the rejected answer, or parked though it does not. */
function isAtRestByMistake({ state, gap }: EndedPair): boolean {
  return (state === "saturated" && gap <= 0) || (state === "parked" && gap > 0);
}

function sharesOf(pairs: readonly EndedPair[]): Shares {
  const shares = Object.entries(COUNTS).map(([name, [kind, counts]]) => {
    const among = pairs.filter((pair) => kind === null || pair.kind === kind);
    return [name, among.filter(counts).length / among.length];
  });
  return Object.fromEntries(shares) as Shares;
}

function print(title: string, rows: readonly { readonly name: string; readonly shares: Shares }[]): void {
  const heads = Object.keys(COUNTS).map((name) => name.replace(": ", ":\n"));
  const table = new Table({ head: [title, ...heads], style: { head: [], border: [] } });
  for (const { name, shares } of rows) {
    table.push([name, ...Object.values(shares).map((share) => `${(100 * share).toFixed(2)} %`)]);
  }
  console.log(table.toString());
}

function verdicts(world: string, shares: Shares): Result[] {
  const result = (name: string, value: number, op: Result["op"], target: number): Result => ({
    name: `${world}: ${name}`,
    value: 100 * value,
    unit: "%",
    op,
    target,
  });
  return [
    result("right pairs rejected", shares["right: rejected"], "<=", 1.2),
    result("swapped pairs rejected by round 8", shares["swapped: rejected"], ">=", 55),
    result("right pairs at rest by mistake", shares["right: at rest by mistake"], "<=", 0.2),
    result("pairs checked again", shares["all: checked again"], "<=", 15),
  ];
}
