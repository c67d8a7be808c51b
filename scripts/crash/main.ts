import { parseArgs } from "node:util";
import { crash } from "./crash.ts";

/** `npm run crash -- [--kills N] [--seed S]`: 1 when the store is not what was acknowledged, 2 for a wrong option. */
const USAGE = "npm run crash -- [--kills N] [--seed S]";

function options(): { kills: number; seed: number } {
  try {
    const { values } = parseArgs({
      options: { kills: { type: "string", default: "25" }, seed: { type: "string", default: "0" } },
    });
    const [kills, seed] = [Number(values.kills), Number(values.seed)];
    if (Number.isInteger(kills) && kills >= 0 && Number.isInteger(seed)) return { kills, seed };
    console.error(`--kills and --seed must be whole numbers: ${USAGE}`);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}: ${USAGE}`);
  }
  process.exit(2);
}

const { kills, seed } = options();
const report = await crash(kills, seed, (line) => console.log(line));
console.log(
  [
    `${report.kills} kills (${report.killsUnderLoad} with requests in flight) in ${report.seconds.toFixed(0)} s`,
    `${report.events} events, ${report.retries} times sent again, ${report.duplicates} answered duplicate, ${report.queued} queued`,
    `${report.busy} answers asked to come again, ${report.failed} were errors`,
    `${report.stored} events and ${report.sources} sources stored, ${report.waiting} still waiting`,
    report.problems.length === 0 ? "The store is what was acknowledged." : "The store is not what was acknowledged:",
    ...report.problems,
  ].join("\n"),
);
process.exitCode = report.problems.length > 0 || report.waiting > 0 ? 1 : 0;
