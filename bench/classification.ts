import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { classify } from "../shared/taxonomy/classify.ts";
import {
  amber,
  type Confusion,
  confusionOf,
  englishShare,
  type Labelled,
  languageAccuracy,
  questionAccuracy,
  sugarcrepe,
  withErrorTypes,
} from "./classification/evaluate.ts";
import { SENTENCES } from "./classification/sentences.ts";
import type { Result } from "./run.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** The fastest of so many passes is what the code costs; the others tell of the machine. */
const PASSES = 50;

/**
 * What reports are taken for: the error types of SugarCrepe's negatives, the tasks of AMBER's questions, the language of short
 * sentences, and what it costs. `--data PATH` (../shared/data), `--half held-out|develop` (held-out).
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: "string", default: join(ROOT, "..", "shared", "data") },
      half: { type: "string", default: "held-out" },
    },
  });
  const half = values.half === "develop" ? "develop" : "held-out";
  for (const folder of ["sugarcrepe", "amber"]) {
    if (existsSync(join(values.data, folder))) continue;
    console.error(`bench classification: ${join(values.data, folder)} is missing: give the data's folder with --data`);
    process.exit(2);
  }
  const read = (path: string) => readFileSync(join(values.data, path), "utf8");
  const [captions, questions] = [sugarcrepe(read, half), amber(read, half)];
  const errorTypes = confusionOf(captions, "errorType");
  const tasks = confusionOf(questions, "task");
  print(`SugarCrepe, ${half} half: error type`, errorTypes);
  print(`AMBER, ${half} half: task`, tasks);
  const language = languageAccuracy();
  const share = (name: string, value: number, target: number): Result => ({
    name,
    value,
    unit: "share",
    op: ">=",
    target,
  });
  const cost = (name: string, value: number, target: number): Result => ({ name, value, unit: "us", op: "<=", target });
  return [
    share("SugarCrepe: error type", errorTypes.accuracy, 0.8),
    share("SugarCrepe: error type, mean of kinds", meanRecall(errorTypes), 0.8),
    share("AMBER: task", tasks.accuracy, 0.95),
    share("AMBER: error type", confusionOf(withErrorTypes(questions), "errorType").accuracy, 0.95),
    share("freely worded questions: task", questionAccuracy(), 0.85),
    share("language: question and answer, 16 languages", language.asked, 0.95),
    share("language: answer alone, 16 languages", language.answers, 0.9),
    share("language: English captions alone", englishShare(captions), 0.95),
    cost("one event, untagged", microseconds(captions.concat(questions), {}), 15),
    cost("one event, untagged, captions alone", microseconds(captions, {}), 20),
    cost("one event, tagged", microseconds(captions, { task: "captioning", errorType: "action", language: "en" }), 2),
    cost("one event, untagged, in 15 other languages", microseconds(foreign(), {}), 60),
    cost(
      "language of 300 characters of Spanish",
      microseconds(Array(500).fill(spanish()), { task: "step", errorType: "reasoning-step" }),
      20,
    ),
  ];
}

function print(title: string, { rows, rights, accuracy }: Confusion): void {
  const columns = [...new Set([...rows.values()].flatMap((row) => [...row.keys()]))].sort();
  const table = new Table({ head: [title, "n", ...columns, "recall"], style: { head: [], border: [] } });
  for (const [kind, row] of rows) {
    const n = [...row.values()].reduce((sum, count) => sum + count, 0);
    const recall = ((rights.get(kind) ?? 0) / n).toFixed(3);
    table.push([kind, n, ...columns.map((column) => row.get(column) ?? ""), recall]);
  }
  console.log(`${table.toString()}\noverall: ${accuracy.toFixed(3)}\n`);
}

function meanRecall({ rows, rights }: Confusion): number {
  const recalls = [...rows].map(
    ([kind, row]) => (rights.get(kind) ?? 0) / [...row.values()].reduce((a, b) => a + b, 0),
  );
  return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
}

type Told = Pick<Parameters<typeof classify>[0], "task" | "errorType" | "language">;

/** Microseconds an event, over all of them. */
function microseconds(events: readonly Pick<Labelled, "question" | "response" | "answer">[], told: Told): number {
  const reports = events.map(({ question, response, answer }) => ({ question, response, answer, ...told }));
  const passes = Array.from({ length: PASSES }, () => {
    const started = performance.now();
    for (const report of reports) classify(report);
    return performance.now() - started;
  });
  return (Math.min(...passes) * 1_000) / reports.length;
}

/** Each answer put to the question before it, so that there is a difference to look at. */
function foreign(): Pick<Labelled, "question" | "response" | "answer">[] {
  return Object.entries(SENTENCES)
    .filter(([language]) => language !== "en")
    .flatMap(([, pairs]) =>
      pairs.map(([question, answer], i) => ({ question, answer, response: pairs.at(i - 1)?.[1] ?? "" })),
    );
}

/** A question of 300 characters, often enough to be timed. */
function spanish(): Pick<Labelled, "question" | "response" | "answer"> {
  const question = (SENTENCES.es ?? []).flat().join(" ").slice(0, 300);
  return { question, response: "", answer: "" };
}
