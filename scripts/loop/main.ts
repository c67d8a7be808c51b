import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Edge, serveEdge } from "../edge/serve.ts";
import { UsageError } from "../usage-error.ts";
import { OperatorApi } from "./api.ts";
import { CommandRefused, PythonChild } from "./child.ts";
import { checkWorldData, HELP, type Options, parseOptions } from "./options.ts";
import { changePolicy } from "./policy.ts";
import type { HeldOut } from "./record.ts";
import { roundTable, summaryTable } from "./report.ts";
import { type LoopState, openState, saveState, sha256Hex } from "./state.ts";
import { type Loop, turn } from "./turn.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Cloudflare fires the cron in production; here this process does. */
const CRON_PERIOD_MS = 5 * 60_000;
/** The local client is the operator's own gateway and speaks for all its users, so its reports all count. */
const GATEWAY_REPORT_CAP = 1_000_000;
/** Held-out questions per task. */
const HELD_OUT_PER_TASK = { scenes: 300, nlvr: 1_200 } as const;
/** Taken over from the environment: the model that edits instead of the built-in editor, the one that gives right answers, the one that checks doubted pairs. */
const MODEL_SETTINGS = [
  "EDITOR_BASE_URL",
  "EDITOR_MODEL",
  "EDITOR_API_KEY",
  "TEACHER_BASE_URL",
  "TEACHER_MODEL",
  "TEACHER_API_KEY",
  "JUDGE_BASE_URL",
  "JUDGE_MODEL",
  "JUDGE_API_KEY",
] as const;
const EXIT = { ok: 0, notBetter: 1, usage: 2 } as const;

const say = (line: string): void => console.log(line);

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.cwd());
  if (options.help) {
    say(HELP);
    return EXIT.ok;
  }
  checkWorldData(options);
  const state = openState(options);
  say(`Nearmiss: world ${options.world}, seed ${options.seed}, state in ${options.state}`);
  const edge = await serveEdge({
    root: ROOT,
    state: options.state,
    port: options.port,
    adminKeySha256: sha256Hex(state.adminKey),
    vars: {
      SIGNING_SECRET: state.signingSecret,
      ...Object.fromEntries(MODEL_SETTINGS.map((name) => [name, process.env[name] ?? ""])),
    },
  });
  const stopped = new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  try {
    state.url = edge.url;
    saveState(options.state, state);
    say(`edge      ${edge.url} in workerd, ${edge.migrated.length} migrations applied`);
    const running = run(options, state, edge);
    running.catch(() => {}); // when it is stopped, what it was doing fails
    const code = await Promise.race([running, stopped.then(() => null)]);
    if (code === null) return EXIT.ok;
    if (options.once) return code;
    return await serve(edge, options, stopped);
  } finally {
    for (const child of children) child.kill();
    await edge.close();
  }
}

const children = new Set<PythonChild>();

/** Turns the loop; without Python it says what is missing. */
async function run(options: Options, state: LoopState, edge: Edge): Promise<number> {
  const api = new OperatorApi(edge.url, state.adminKey);
  if (state.keys === null) {
    const client = await api.createKey("miniature gateway", ["ingest"], GATEWAY_REPORT_CAP);
    const trainer = await api.createKey("local trainer", ["train"], 1);
    state.keys = { ingest: client.key, train: trainer.key };
    saveState(options.state, state);
  }
  await changePolicy(api, options.policy);
  const python = process.env.NEARMISS_TRAINER_PYTHON;
  if (!python) {
    const why = process.env.NEARMISS_PYTHON_MISSING ?? "NEARMISS_TRAINER_PYTHON is not set";
    say(`No training here: ${why}.`);
    say("Missing for training: Python 3.11 or newer, then `npm start` installs the trainer and turns the loop.");
    return EXIT.notBetter;
  }
  await edge.cron(new Date());
  const deployed = new PythonChild({
    python,
    root: ROOT,
    key: state.keys.ingest,
    log: join(options.state, "deployed.log"),
    args: deployedArguments(options, edge.url),
  });
  children.add(deployed);
  await deployed.ask({ cmd: "refresh" });
  let now = await deployed.ask<HeldOut>({ cmd: "evaluate" });
  const loop: Loop = {
    api,
    deployed,
    trainer: { python, root: ROOT, state: options.state, url: edge.url, key: state.keys.train },
    images: options.images,
    seed: options.seed,
    say,
  };
  const started = Date.now();
  const first = state.rounds.length;
  for (let round = first; round < first + options.rounds; round++) {
    say(`\nround ${round + 1} of ${first + options.rounds}`);
    const record = await turn(loop, round, now).catch((error) => {
      if (error instanceof CommandRefused) return error;
      throw error;
    });
    if (record instanceof CommandRefused) {
      say(`The client stops here: ${record.message}`);
      break;
    }
    state.rounds.push(record);
    saveState(options.state, state);
    say(roundTable(record));
    now = record.after;
  }
  deployed.tell({ cmd: "quit" });
  return conclude(options, state, now, (Date.now() - started) / 1000);
}

function deployedArguments(options: Options, url: string): string[] {
  return [
    "deployed",
    ...["--api", url],
    ...["--model", join(ROOT, "gpu-trainer", "miniature")],
    ...["--world", options.world],
    ...(options.data === null ? [] : ["--data", options.data]),
    ...["--seed", String(options.seed)],
    ...["--state", join(options.state, "deployed")],
    ...["--held-out-per-task", String(HELD_OUT_PER_TASK[options.world])],
  ];
}

/** Prints what was reached. 0 when an adapter was promoted and no guard slice fell. */
function conclude(options: Options, state: LoopState, now: HeldOut, seconds: number): number {
  const promoted = state.rounds.filter((round) => round.trained?.verdict === "promoted").length;
  const fell = now.tasks.filter((slice) => slice.guard === "fell").map((slice) => slice.name);
  const ok = promoted > 0 && fell.length === 0;
  say(`\nFrom the base model to the champion, after ${state.rounds.length} rounds (${promoted} promoted):`);
  say(summaryTable(now));
  if (fell.length > 0) say(`Guard slices that fell: ${fell.join(", ")}`);
  if (options.json) {
    const { world, seed, rounds } = state;
    say(JSON.stringify({ world, seed, ok, promoted, fell, seconds, heldOut: now, rounds }));
  }
  return ok ? EXIT.ok : EXIT.notBetter;
}

/** Keeps the edge up, firing its cron, until it is told to stop. */
async function serve(edge: Edge, options: Options, stopped: Promise<void>): Promise<number> {
  say(`\nServing on ${edge.url} (API under /v1, log in ${join(options.state, "edge.log")}). Ctrl-C stops.`);
  say(`The admin key is in ${join(options.state, "loop.json")}.`);
  const timer = setInterval(() => {
    edge.cron(new Date()).catch((error) => console.error(`cron: ${error.message}`));
  }, CRON_PERIOD_MS);
  await stopped;
  clearInterval(timer);
  return EXIT.ok;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(`nearmiss: ${error instanceof UsageError ? error.message : (error?.stack ?? error)}`);
    process.exit(error instanceof UsageError ? EXIT.usage : EXIT.notBetter);
  },
);
