import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { UsageError } from "../usage-error.ts";
import type { Violation } from "./fuzzer.ts";
import { fuzzIntake } from "./intake.ts";

const USAGE = "npm run fuzz -- intake [--cases N] [--seed S]";
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const EXIT = { ok: 0, violated: 1, usage: 2 } as const;
/** Bytes of a body that are shown. */
const SHOWN_BYTES = 4_000;

function optionsOf(args: readonly string[]): { cases: number; seed: number } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { cases: { type: "string", default: "2000" }, seed: { type: "string", default: "1" } },
  });
  const [cases, seed] = [Number(values.cases), Number(values.seed)];
  if (positionals.length !== 1 || positionals[0] !== "intake") throw new UsageError("what to fuzz must be intake");
  if (!Number.isSafeInteger(cases) || cases < 1) throw new UsageError("--cases must be a whole number from 1 on");
  if (!Number.isInteger(seed) || seed !== (seed | 0)) throw new UsageError("--seed must be a whole number of 32 bits");
  return { cases, seed };
}

async function main(args: readonly string[]): Promise<number> {
  const { cases, seed } = optionsOf(args);
  const state = mkdtempSync(join(tmpdir(), "nearmiss-fuzz-"));
  try {
    const report = await fuzzIntake({ root: ROOT, state, cases, seed }, (line) => console.log(line));
    const table = new Table({ head: ["call", "status", "answers"], style: { head: [], border: [] } });
    for (const [call, counts] of Object.entries(report.answers)) {
      for (const [status, answers] of Object.entries(counts)) table.push([call, status, answers]);
    }
    console.log(table.toString());
    const rate = (report.cases / report.seconds).toFixed(0);
    console.log(
      `${report.cases} cases in ${report.seconds.toFixed(0)} s (${rate} a second), ${report.stored} events stored.`,
    );
    if (report.violation) show(report.violation);
    return report.violation ? EXIT.violated : EXIT.ok;
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

function show({ problem, seed, smallest }: Violation): void {
  console.log(`\nViolated: ${problem}`);
  console.log(`The batch comes again with --seed ${seed}.`);
  if (!smallest) {
    console.log("It takes several cases together.");
    return;
  }
  const { body, ...head } = smallest;
  console.log("The smallest case:", JSON.stringify(head, null, 2));
  console.log(
    `Its body, ${body.length} bytes in base64: ${Buffer.from(body.subarray(0, SHOWN_BYTES)).toString("base64")}`,
  );
  console.log(`As text: ${JSON.stringify(Buffer.from(body.subarray(0, SHOWN_BYTES)).toString("utf8"))}`);
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    const usage = error instanceof UsageError || String(error?.code).startsWith("ERR_PARSE_ARGS");
    console.error(usage ? `${error.message}: ${USAGE}` : (error?.stack ?? error));
    process.exitCode = usage ? EXIT.usage : EXIT.violated;
  },
);
