import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import type { HeldOut, RoundRecord } from "../scripts/loop/record.ts";
import { venvPython } from "../scripts/setup/python.mjs";
import type { Result } from "./run.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** The loop's last line with `--json`. */
interface LoopResult {
  readonly seed: number;
  readonly promoted: number;
  readonly fell: readonly string[];
  readonly seconds: number;
  readonly heldOut: HeldOut;
  readonly rounds: readonly RoundRecord[];
}

/** The loop as it is, and the two ablations that say what the near misses and the steering add. */
const ARMS = {
  dpo: [],
  sft: ["training.objective=sft"],
  uniform: ["scheduler.allocation=uniform"],
} as const;
type Arm = keyof typeof ARMS;

/**
 * The loop on the real images of NLVR: three rounds a seed, judged on `test` images only.
 * `--data PATH` (../shared/data/nlvr), `--seeds N` (3), `--arms dpo,sft,uniform`, `--rounds N` (3), `--parallel N` (2).
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: "string", default: join(ROOT, "..", "shared", "data", "nlvr") },
      seeds: { type: "string", default: "3" },
      arms: { type: "string", default: "dpo,sft,uniform" },
      rounds: { type: "string", default: "3" },
      parallel: { type: "string", default: "2" },
    },
  });
  if (!existsSync(values.data)) {
    console.error(`bench loop: ${values.data} is missing: give NLVR's folder with --data`);
    process.exit(2);
  }
  const arms = values.arms.split(",") as Arm[];
  const jobs = Array.from({ length: Number(values.seeds) }, (_, seed) => arms.map((arm) => ({ arm, seed }))).flat();
  const done: { arm: Arm; result: LoopResult }[] = [];
  const worker = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const result = await loop(job.seed, values.data, values.rounds, ARMS[job.arm]);
      done.push({ arm: job.arm, result });
      const { all } = result.heldOut;
      console.error(
        `${job.arm} seed ${job.seed}: ${(all.rightAfter / all.n).toFixed(4)}, ${result.seconds.toFixed(0)} s`,
      );
    }
  };
  await Promise.all(Array.from({ length: Number(values.parallel) }, worker));
  for (const level of ["tasks", "regions"] as const) printTable(arms, done, level);
  return verdicts(done.filter(({ arm }) => arm === "dpo").map(({ result }) => result));
}

async function loop(seed: number, data: string, rounds: string, policy: readonly string[]): Promise<LoopResult> {
  const state = mkdtempSync(join(tmpdir(), "nearmiss-bench-"));
  const child = spawn(
    process.execPath,
    [
      join(ROOT, "scripts", "loop", "main.ts"),
      ...["--once", "--fresh", "--json", "--world", "nlvr", "--data", data, "--rounds", rounds],
      ...["--seed", String(seed), "--state", state, "--port", "0"],
      ...policy.flatMap((change) => ["--policy", change]),
    ],
    {
      cwd: ROOT,
      env: { ...process.env, NEARMISS_TRAINER_PYTHON: venvPython(ROOT) },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once("exit", resolve));
  rmSync(state, { recursive: true, force: true });
  try {
    return JSON.parse(output.trimEnd().split("\n").at(-1) ?? "") as LoopResult;
  } catch {
    throw new Error(`the loop with seed ${seed} ended without a result:\n${output.slice(-2_000)}`);
  }
}

function printTable(
  arms: readonly Arm[],
  done: readonly { arm: Arm; result: LoopResult }[],
  level: "tasks" | "regions",
) {
  const [first] = done;
  if (!first) return;
  const table = new Table({ head: [level, "n", "base", ...arms], style: { head: [], border: [] } });
  for (const slice of [...first.result.heldOut[level], first.result.heldOut.all]) {
    const cells = arms.map((arm) =>
      done
        .filter((one) => one.arm === arm)
        .sort((a, b) => a.result.seed - b.result.seed)
        .map(({ result }) => [...result.heldOut[level], result.heldOut.all].find(({ name }) => name === slice.name))
        .map((now) => (now ? (now.rightAfter / now.n).toFixed(3) : "-"))
        .join(" / "),
    );
    table.push([slice.name, slice.n, (slice.rightBefore / slice.n).toFixed(3), ...cells]);
  }
  console.log(table.toString());
}

function verdicts(runs: readonly LoopResult[]): Result[] {
  return runs.flatMap(({ seed, heldOut: { all }, promoted, fell }) => {
    const wrong = all.n - all.rightBefore;
    return [
      {
        name: `seed ${seed}: held-out accuracy`,
        value: all.rightAfter / all.n,
        unit: "share",
        op: ">=",
        target: 0.88,
      },
      { name: `seed ${seed}: failures fixed`, value: all.fixed / wrong, unit: "share", op: ">=", target: 0.4 },
      {
        name: `seed ${seed}: right answers broken`,
        value: all.broken / all.rightBefore,
        unit: "share",
        op: "<=",
        target: 0.04,
      },
      { name: `seed ${seed}: adapters promoted`, value: promoted, unit: "adapters", op: ">=", target: 1 },
      { name: `seed ${seed}: guard slices fallen`, value: fell.length, unit: "slices", op: "<=", target: 0 },
    ] as Result[];
  });
}
