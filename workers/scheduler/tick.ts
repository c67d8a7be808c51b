import type { EditorPolicy } from "../../shared/contracts/policy.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { encodeInputs, encodePlan, FORMAT } from "../../shared/hardness/record.ts";
import type { Plan, PlanLine } from "../../shared/hardness/state.ts";
import { endOfTick } from "../../shared/hardness/statistics.ts";
import { parseRegionKey } from "../../shared/taxonomy/taxonomy.ts";
import { DAY_MS } from "../../shared/time.ts";
import type { Env } from "../env.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { logEvent } from "../http/log.ts";
import { queuedJobsOfTick } from "../store/jobs.ts";
import { currentPolicy, type StoredPolicy } from "../store/policy.ts";
import { editableSources, groupKey } from "../store/supply.ts";
import { findTickOfSlot, insertTick, type NewJob, type RegionAfterTick, type TickRow } from "../store/ticks.ts";
import { toRow } from "./archive.ts";
import { chooseSources } from "./choose.ts";
import { type InputsEnv, type Observed, observe } from "./inputs.ts";
import { wakeEditor } from "./queue.ts";

/** Tries before a tick gives way to others that came between its reading and its writing. */
const TICK_ATTEMPTS = 5;
/** Age from which a tick that is asked for again wakes its queued jobs anew. */
const WAKE_AGAIN_AGE_MS = 5_000;
/** Hex digits of an edit job's id. */
const JOB_ID_DIGITS = 32;

export type TickEnv = InputsEnv & Pick<Env, "BLOBS" | "EDIT_QUEUE">;

export interface TickRequest {
  /** One plan each. */
  readonly slot: string;
  /** Unset, the slot decides. */
  readonly seed?: number | undefined;
  /** ms */
  readonly now: number;
}

export interface Tick {
  readonly row: TickRow;
  /** False when the slot had its plan already. */
  readonly created: boolean;
}

/**
 * Plans the next edits from the statistics, orders them, and wakes the editor. A slot has one plan, whoever asks for it, how
 * often, and how many at once.
 * @throws {ApiError} `overloaded` when other ticks came first each time
 */
export async function runTick(env: TickEnv, request: TickRequest): Promise<Tick> {
  for (let attempt = 1; attempt <= TICK_ATTEMPTS; attempt++) {
    const stored = await findTickOfSlot(env.DB, request.slot);
    if (stored) {
      // Who asks again after a while may have lost the messages: a job is done once however often it is woken.
      const late = request.now - stored.at >= WAKE_AGAIN_AGE_MS;
      if (late) await wakeEditor(env, await queuedJobsOfTick(env.DB, stored.id));
      return { row: stored, created: false };
    }
    const made = await tryTick(env, request);
    if (made) return { row: made, created: true };
  }
  throw new ApiError("overloaded", "Other ticks came first each time. The same request may be sent again.");
}

/** @returns null when another tick was stored since the statistics were read */
async function tryTick(env: TickEnv, request: TickRequest): Promise<TickRow | null> {
  const policy = await currentPolicy(env.DB);
  const { observed, plan, texts, ...draft } = await draftTick(env, policy, request);
  const row: Omit<TickRow, "jobs"> = {
    ...draft,
    inputs: await toRow(env, texts.inputs, draft.inputsSha256),
    plan: await toRow(env, texts.plan, draft.planSha256),
  };
  const jobs = await insertTick(env.DB, {
    ...row,
    orders: await ordersOf(env.DB, plan, observed, policy.document.editor),
    regions: regionsAfter(observed, plan),
    reports: observed.reports,
    archiveBefore: row.at - policy.document.scheduler.archiveAfterDays * DAY_MS,
  });
  if (!jobs) return null;
  if (observed.cut.failures + observed.cut.exposures > 0) logEvent("reports-cut", { tick: row.id, ...observed.cut });
  await wakeEditor(env, jobs);
  return { ...row, jobs: jobs.length };
}

/** The plan that comes next, with everything that is stored of it. Nothing is written. */
export async function draftTick(env: InputsEnv, policy: StoredPolicy, request: TickRequest) {
  const { slot, now, seed = seedOf(slot) } = request;
  const observed = await observe(env, policy.document, now, seed);
  const plan = makePlan(observed.inputs);
  const texts = { inputs: encodeInputs(observed.inputs), plan: encodePlan(plan) };
  return {
    id: observed.lastTick + 1,
    slot,
    at: now,
    policyVersion: policy.version,
    seed,
    format: FORMAT,
    inputsSha256: sha256Hex(texts.inputs),
    planSha256: sha256Hex(texts.plan),
    texts,
    plan,
    observed,
  };
}

/** Sources for every line, as jobs. */
async function ordersOf(
  db: D1Database,
  { lines }: Plan,
  { inputs, regions, windows }: Observed,
  editor: EditorPolicy,
): Promise<NewJob[]> {
  const byGroup = Map.groupBy(lines, ({ region }) => groupKey(parseRegionKey(region)));
  const wanted = windows.filter(({ group }) => byGroup.has(groupKey(group)));
  const sources = await editableSources(db, wanted, editor.rejectedPerSource);
  const waiting = new Map(regions.map(({ key, waiting: polarities }) => [key, polarities]));
  return [...byGroup].flatMap(([group, own]) =>
    chooseSources(own, sources.get(group) ?? [], editor, inputs.seed, waiting).map((order) => ({
      id: jobId(order),
      ...order,
    })),
  );
}

/** What the tick leaves behind: the counts decayed, and the level and time of the plan where there is one. */
function regionsAfter({ inputs, regions }: Observed, plan: Plan): RegionAfterTick[] {
  const levels = levelsOfPlan(plan.lines);
  return regions.map((region) => {
    const { failures, exposures, failureMass } = endOfTick(region, inputs.policy);
    return {
      key: region.key,
      failures,
      exposures,
      failureMass,
      countedFailures: region.countedFailures,
      countedExposures: region.countedExposures,
      level: levels.get(region.key) ?? null,
      rateWatch: region.rateWatch,
    };
  });
}

/** A region's level is that of its main line; a probe of the floor decides only where nothing else was planned. */
function levelsOfPlan(lines: readonly PlanLine[]): Map<string, number> {
  const probesFirst = [...lines].sort((a, b) => Number(b.kind === "floor") - Number(a.kind === "floor"));
  return new Map(probesFirst.map(({ region, level }) => [region, level]));
}

function seedOf(slot: string): number {
  return Number.parseInt(sha256Hex(slot).slice(0, 8), 16);
}

function jobId({ sourceId, errorType, level }: Omit<NewJob, "id">): string {
  return sha256Hex(`${sourceId}\n${errorType}\n${level}`).slice(0, JOB_ID_DIGITS);
}
