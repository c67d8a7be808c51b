import type { z } from "zod";
import {
  type explanationQuery,
  explanationResponse,
  type tickJobs,
  type tickRecord,
  type tickRequest,
  tickResponse,
  type ticksQuery,
  type ticksResponse,
} from "../../shared/contracts/operator.ts";
import { explainPlan } from "../../shared/hardness/explain.ts";
import { decodeInputs, FORMAT } from "../../shared/hardness/record.ts";
import type { Plan } from "../../shared/hardness/state.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { countJobs } from "../store/jobs.ts";
import { listTicks, type TickHead } from "../store/tick-views.ts";
import { findTick, type TickRow } from "../store/ticks.ts";
import { fromRow } from "./archive.ts";
import { runTick, type Tick, type TickEnv } from "./tick.ts";

type TickView = z.infer<typeof tickResponse>;
type TickJobs = z.infer<typeof tickJobs>;

/**
 * Makes the plan of the slot, or finds it; without a slot, a new one.
 * @throws {ApiError} `forbidden`, `overloaded`
 */
export async function demandTick(
  env: TickEnv,
  actor: Actor,
  request: z.infer<typeof tickRequest>,
  now: number,
): Promise<TickView> {
  demand(actor, "operate");
  const slot = request.slot ?? `demand/${crypto.randomUUID()}`;
  return view(env, await runTick(env, { slot, seed: request.seed, now }));
}

/** A page of ticks, the newest first. */
export async function getTicks(
  env: Pick<Env, "DB">,
  actor: Actor,
  { before = Number.MAX_SAFE_INTEGER, limit }: z.output<typeof ticksQuery>,
): Promise<z.infer<typeof ticksResponse>> {
  demand(actor, "operate");
  const rows = await listTicks(env.DB, before, limit + 1);
  const ticks = rows.slice(0, limit);
  return { ticks, next: rows.length > limit ? (ticks.at(-1)?.id ?? null) : null };
}

/**
 * Why a tick's regions got what they got, or one of them, also one that got nothing.
 * @throws {ApiError} `not_found` for the tick or the region; `unprocessable` for a tick of another format
 */
export async function explainTick(
  env: Pick<Env, "DB" | "BLOBS">,
  actor: Actor,
  id: number,
  { region }: z.output<typeof explanationQuery>,
): Promise<z.infer<typeof explanationResponse>> {
  demand(actor, "operate");
  const row = await requireTick(env.DB, id);
  const plan = await readPlan(env, row);
  const inputs = decodeInputs(await fromRow(env, row.inputs));
  if (region !== undefined && !inputs.regions.some(({ key }) => key === region)) {
    throw new ApiError("not_found", `Tick ${id} planned for no region ${region}: it is unknown, or was archived.`);
  }
  return explanationResponse.parse({ tick: headOf(row), ...explainPlan(inputs, plan, region) });
}

/**
 * The very bytes of a tick's inputs and its plan, whatever their format, so that it can be made again.
 * @throws {ApiError} `not_found`
 */
export async function getTickRecord(
  env: Pick<Env, "DB" | "BLOBS">,
  actor: Actor,
  id: number,
): Promise<z.infer<typeof tickRecord>> {
  demand(actor, "operate");
  const row = await requireTick(env.DB, id);
  const { format, seed } = row;
  return { ...headOf(row), format, seed, inputs: await fromRow(env, row.inputs), plan: await fromRow(env, row.plan) };
}

/** @throws {ApiError} `not_found`; `unprocessable` for a tick of another format */
export async function getTick(env: Pick<Env, "DB" | "BLOBS">, actor: Actor, id: number): Promise<TickView> {
  demand(actor, "operate");
  return view(env, { row: await requireTick(env.DB, id), created: false });
}

/**
 * How far a tick's edits are, and how they ended.
 * @throws {ApiError} `not_found`
 */
export async function getTickJobs(env: Pick<Env, "DB">, actor: Actor, id: number): Promise<TickJobs> {
  demand(actor, "operate");
  const tick = await requireTick(env.DB, id);
  const view: TickJobs = {
    tickId: id,
    asked: tick.jobs,
    accepted: 0,
    refused: 0,
    failed: 0,
    queued: 0,
    reasons: {},
    editors: {},
  };
  for (const { state, reason, editor, jobs } of await countJobs(env.DB, id)) {
    view[state] += jobs;
    if (reason !== null) view.reasons[reason] = (view.reasons[reason] ?? 0) + jobs;
    if (editor !== null) view.editors[editor] = (view.editors[editor] ?? 0) + jobs;
  }
  return view;
}

async function requireTick(db: D1Database, id: number): Promise<TickRow> {
  const tick = await findTick(db, id);
  if (!tick) throw new ApiError("not_found", "There is no tick with this id.");
  return tick;
}

function headOf({ id, slot, at, policyVersion, inputsSha256, planSha256, jobs }: TickRow): TickHead {
  return { id, slot, at, policyVersion, inputsSha256, planSha256, jobs };
}

async function view(env: Pick<Env, "BLOBS">, { row, created }: Tick): Promise<TickView> {
  return tickResponse.parse({ ...row, created, plan: await readPlan(env, row) });
}

/** The plan, if this version can read it: an older one lacks what today's plans tell. */
async function readPlan(env: Pick<Env, "BLOBS">, { id, format, plan }: TickRow): Promise<Plan> {
  if (format === FORMAT) return JSON.parse(await fromRow(env, plan));
  const which = `Tick ${id} has the format ${format}, and this version reads the format ${FORMAT}`;
  throw new ApiError("unprocessable", `${which}. Its bytes are at /v1/ticks/${id}/record.`);
}
