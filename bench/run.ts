import { existsSync, readdirSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Table from "cli-table3";

/** One measured figure with the target it is held against. */
export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly op: ">=" | "<=";
  readonly target: number;
}

/** A benchmark: a module of this folder with `run`. Its arguments are what follows its name, `--json` taken out. */
export interface Bench {
  run(args: readonly string[]): Promise<readonly Result[]>;
}

const HERE = dirname(fileURLToPath(import.meta.url));

function holds({ value, op, target }: Result): boolean {
  return op === ">=" ? value >= target : value <= target;
}

function machine(): string {
  const [cpu] = cpus();
  return `${cpu?.model.trim() ?? "unknown"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}

async function main([name, ...rest]: readonly string[]): Promise<void> {
  const names = readdirSync(HERE)
    .filter((file) => file.endsWith(".ts") && file !== "run.ts")
    .map((file) => file.slice(0, -".ts".length));
  const file = join(HERE, `${name}.ts`);
  if (!name || !names.includes(name) || !existsSync(file)) {
    console.error(`npm run bench -- NAME, with NAME one of: ${names.join(", ")}`);
    process.exit(2);
  }
  const bench = (await import(file)) as Bench;
  const results = await bench.run(rest.filter((arg) => arg !== "--json"));
  const table = new Table({ head: ["", "value", "unit", "target", "holds"], style: { head: [], border: [] } });
  for (const result of results) {
    const value = Number(result.value.toPrecision(4));
    table.push([result.name, value, result.unit, `${result.op} ${result.target}`, holds(result) ? "yes" : "no"]);
  }
  console.log(table.toString());
  if (rest.includes("--json")) {
    const rows = results.map((result) => ({ ...result, holds: holds(result) }));
    console.log(JSON.stringify({ bench: name, machine: machine(), results: rows }));
  }
}

await main(process.argv.slice(2));
