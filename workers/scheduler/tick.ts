import type { EditorPolicy, PolicyDocument } from "../../shared/contracts/policy.ts";
import { canonicalJson } from "../../shared/hardness/canonical.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import type { Plan, PlanInputs, PlanLine } from "../../shared/hardness/state.ts";
import { endOfTick } from "../../shared/hardness/statistics.ts";
import { parseRegionKey } from "../../shared/taxonomy/taxonomy.ts";
import type { Env } from "../env.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { queuedJobsOfTick } from "../store/jobs.ts";
import { currentPolicy } from "../store/policy.ts";
import {
  readStatistics,
  readSupply,
  type SourceGroup,
  type Statistics,
  type Supply,
  type Window,
} from "../store/statistics.ts";
import {
  editableOf,
  findTickOfSlot,
  insertTick,
  type NewJob,
  type RegionAfterTick,
  type TickRow,
} from "../store/ticks.ts";
import { toRow } from "./archive.ts";
import { chooseSources } from "./choose.ts";
import { wakeEditor } from "./queue.ts";

/** Tries before a tick gives way to others that came between its reading and its writing. */
const TICK_ATTEMPTS = 5;
/** Age from which a tick that is asked for again wakes its queued jobs anew. */
const WAKE_AGAIN_AGE_MS = 5_000;
/** Hex digits of an edit job's id. */
const JOB_ID_DIGITS = 32;
/** Sources that a tick looks at in all, unless single regions could use more. */
const SOURCES_PER_TICK = 40_000;
/** Sources of a group beyond the pairs to order that are looked at, so that balance leaves a choice. */
const SPARE_SOURCES = 200;

export type TickEnv = Pick<Env, "DB" | "BLOBS" | "EDIT_QUEUE">;

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

async function tryTick(env: TickEnv, { slot, now, seed }: TickRequest): Promise<TickRow | null> {
  const policy = await currentPolicy(env.DB);
  const statistics = await readStatistics(env.DB);
  const groups = groupsOf(statistics);
  const window = windowOf(groups.length, policy.document);
  const inputs: PlanInputs = {
    at: now,
    seed: seed ?? seedOf(slot),
    policy: policy.document.scheduler,
    regions: withSupply(statistics, groups, await readSupply(env.DB, groups, window)),
    difficulties: statistics.difficulties,
  };
  const plan = makePlan(inputs);
  const texts = { inputs: canonicalJson(inputs), plan: canonicalJson(plan) };
  const hashes = { inputs: sha256Hex(texts.inputs), plan: sha256Hex(texts.plan) };
  const row: Omit<TickRow, "jobs"> = {
    id: statistics.lastTick + 1,
    slot,
    at: now,
    policyVersion: policy.version,
    seed: inputs.seed,
    inputs: await toRow(env, texts.inputs, hashes.inputs),
    inputsSha256: hashes.inputs,
    plan: await toRow(env, texts.plan, hashes.plan),
    planSha256: hashes.plan,
  };
  const orders = await ordersOf(env.DB, plan, window, inputs.seed, policy.document.editor);
  const jobs = await insertTick(env.DB, { ...row, orders, regions: regionsAfter(inputs, plan) });
  if (!jobs) return null;
  await wakeEditor(env, jobs);
  return { ...row, jobs: jobs.length };
}

function groupsOf({ regions }: Statistics): SourceGroup[] {
  return [...Map.groupBy(regions, groupKey).values()].flatMap(([first]) => (first ? [first] : []));
}

/** How much of each group's sources to look at: its part of a tick's work, but as much as its largest line may order. */
function windowOf(groups: number, { scheduler, editor }: PolicyDocument): Window {
  const line = Math.ceil(scheduler.budgetPairs * scheduler.capShare);
  const part = Math.floor(SOURCES_PER_TICK / Math.max(1, groups));
  const pairs = Math.min(scheduler.budgetPairs, Math.max(line, part));
  return { maxJobs: editor.rejectedPerSource, limit: pairs + SPARE_SOURCES };
}

/** The regions with what the sources of their group can still give. */
function withSupply(
  { regions }: Statistics,
  groups: readonly SourceGroup[],
  supplies: readonly (readonly Supply[])[],
): PlanInputs["regions"] {
  const byGroup = new Map(groups.map((group, index) => [groupKey(group), supplies[index] ?? []]));
  return regions.map((region) => {
    const supply = byGroup.get(groupKey(region)) ?? [];
    return {
      ...region,
      editable: supply.reduce((sum, { editable }) => sum + editable, 0),
      ownAnswers: supply.find(({ errorType }) => errorType === region.errorType)?.ownAnswers ?? 0,
    };
  });
}

/** Sources for every line, as jobs. */
async function ordersOf(
  db: D1Database,
  plan: Plan,
  window: Window,
  seed: number,
  editor: EditorPolicy,
): Promise<NewJob[]> {
  const orders: Omit<NewJob, "id">[] = [];
  for (const lines of Map.groupBy(plan.lines, (line) => groupKey(parseRegionKey(line.region))).values()) {
    const [first] = lines;
    if (!first) continue;
    const sources = await editableOf(db, parseRegionKey(first.region), window);
    orders.push(...chooseSources(lines, sources, editor, seed));
  }
  return orders.map((order) => ({ id: jobId(order), ...order }));
}

/** What the tick leaves behind: the counts decayed, and the level and time of the plan where there is one. */
function regionsAfter(inputs: PlanInputs, plan: Plan): RegionAfterTick[] {
  const levels = levelsOfPlan(plan.lines);
  return inputs.regions.map((region) => ({
    key: region.key,
    ...endOfTick(region, inputs.policy),
    countedFailures: region.newFailures,
    countedExposures: region.newExposures,
    level: levels.get(region.key) ?? null,
  }));
}

/** A region's level is that of its main line; a probe of the floor decides only where nothing else was planned. */
function levelsOfPlan(lines: readonly PlanLine[]): Map<string, number> {
  const probesFirst = [...lines].sort((a, b) => Number(b.kind === "floor") - Number(a.kind === "floor"));
  return new Map(probesFirst.map(({ region, level }) => [region, level]));
}

function groupKey({ task, language, modality }: SourceGroup): string {
  return `${task}/${language}/${modality}`;
}

function seedOf(slot: string): number {
  return Number.parseInt(sha256Hex(slot).slice(0, 8), 16);
}

function jobId({ sourceId, errorType, level }: Omit<NewJob, "id">): string {
  return sha256Hex(`${sourceId}\n${errorType}\n${level}`).slice(0, JOB_ID_DIGITS);
}
