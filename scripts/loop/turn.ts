import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { OperatorApi } from "./api.ts";
import { PythonChild } from "./child.ts";
import type { HeldOut, RoundRecord, Served, Trained } from "./record.ts";

/** What a turn of the loop needs. */
export interface Loop {
  readonly api: OperatorApi;
  readonly deployed: PythonChild;
  readonly trainer: Omit<TrainerOptions, "seed">;
  readonly images: number;
  readonly seed: number;
  /** One line for people. */
  say(line: string): void;
}

export interface TrainerOptions {
  readonly python: string;
  readonly root: string;
  readonly state: string;
  readonly url: string;
  readonly key: string;
  readonly seed: number;
}

/** One line of `python -m nearmiss round --json`. */
interface TrainerLine {
  readonly phase?: string;
  readonly step?: number;
  readonly steps?: number;
  readonly note?: string;
  readonly summary?: Trained & { readonly reason?: string };
}

/** How often the editor's progress is asked for, and how long it may stand still. */
const EDITS_POLL_MS = 250;
const EDITS_STALL_MS = 60_000;
/** Exit codes of `python -m nearmiss round`. */
const NOTHING_TO_TRAIN = 3;

/** One turn: the client serves and reports, the scheduler plans, the editor edits, the trainer trains, the client picks up the champion. */
export async function turn(loop: Loop, round: number, before: HeldOut): Promise<RoundRecord> {
  const started = Date.now();
  const served = await loop.deployed.ask<Served>({ cmd: "serve", round, images: loop.images });
  loop.say(
    `client    ${served.images} images, ${served.asked} questions, ${served.wrong} wrong answers; reports: ${words(served.reporter)}`,
  );
  const tick = await loop.api.tick(`round-${round}`, loop.seed);
  loop.say(`scheduler ${tick.plan.planned} pairs over ${tick.plan.lines.length} lines, ${tick.jobs} edit jobs`);
  for (const line of tick.plan.lines.slice(0, 3)) loop.say(`          ${line.sentence}`);
  const edits = await waitForEdits(loop.api, tick.id);
  loop.say(
    `editor    ${edits.asked} asked, ${edits.accepted} accepted, ${edits.refused} refused${edits.refused ? ` (${words(edits.reasons)})` : ""}`,
  );
  const outcome = await runTrainer({ ...loop.trainer, seed: loop.seed + round }, loop.say);
  await loop.deployed.ask({ cmd: "refresh" });
  const after = await loop.deployed.ask<HeldOut>({ cmd: "evaluate" });
  return {
    round,
    served,
    tick: { id: tick.id, planned: tick.plan.planned, budget: tick.plan.budget, lines: tick.plan.lines },
    edits,
    ...outcome,
    champion: after.adapter,
    before,
    after,
    seconds: (Date.now() - started) / 1000,
  };
}

/** Waits until no job of the tick is queued. @throws {Error} when the editor stands still */
export async function waitForEdits(api: OperatorApi, tickId: number) {
  let moved = Date.now();
  let left = Number.POSITIVE_INFINITY;
  for (;;) {
    const jobs = await api.tickJobs(tickId);
    if (jobs.queued === 0) return jobs;
    if (jobs.queued < left) moved = Date.now();
    left = jobs.queued;
    if (Date.now() - moved > EDITS_STALL_MS) throw new Error(`the editor stands still with ${left} jobs queued`);
    await sleep(EDITS_POLL_MS);
  }
}

/** Runs `python -m nearmiss round` at once: each round of the loop is asked for, however few pairs are ready. */
export async function runTrainer(
  options: TrainerOptions,
  say: (line: string) => void,
): Promise<Pick<RoundRecord, "trained" | "skipped">> {
  const child = new PythonChild({
    python: options.python,
    root: options.root,
    key: options.key,
    log: join(options.state, "trainer.log"),
    args: [
      "round",
      "--api",
      options.url,
      "--model",
      join(options.root, "gpu-trainer", "miniature"),
      "--state",
      join(options.state, "trainer"),
      "--seed",
      String(options.seed),
      "--now",
      "--json",
    ],
  });
  let summary: TrainerLine["summary"];
  for await (const text of child.lines) {
    const line = JSON.parse(text) as TrainerLine;
    if (line.phase && line.step === 0 && line.steps) say(`trainer   ${line.phase}, ${line.steps} steps`);
    if (line.note) say(`trainer   ${line.note}`);
    summary = line.summary ?? summary;
  }
  const code = await child.exited;
  if (code === NOTHING_TO_TRAIN) return { trained: null, skipped: summary?.reason ?? "nothing to train" };
  if (code !== 0 || !summary) throw await child.failure();
  return { trained: summary, skipped: null };
}

function words(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([name, count]) => `${count} ${name}`).join(", ") || "none";
}
