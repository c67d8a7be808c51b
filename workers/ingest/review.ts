import type { z } from "zod";
import { conversation } from "../../shared/contracts/common.ts";
import { EVENT_STATUSES, type HoldReason } from "../../shared/contracts/ingest.ts";
import type {
  answerRequest,
  failureRow,
  failuresQuery,
  failuresResponse,
  intakeResponse,
  releaseRequest,
  releaseResponse,
} from "../../shared/contracts/review.ts";
import { parseRegionKey } from "../../shared/taxonomy/taxonomy.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import {
  countByState,
  type FailureRow,
  failuresInState,
  findFailure,
  heldFailures,
  reportCapOf,
  storeAnswer,
  storeRelease,
} from "../store/review.ts";
import { allMetrics, EVENTS_TOTAL } from "./intake-counters.ts";
import { sameAnswer } from "./judge.ts";
import { lookAtQueue } from "./overflow.ts";
import { placeOf } from "./read-event.ts";

type FailureView = z.infer<typeof failureRow>;

/** Events that one release lets go. */
const RELEASED_AT_ONCE = 200;

/** Events that need a person: those without a right answer, and those that speak of something unknown. */
export async function listFailures(
  env: Pick<Env, "DB">,
  actor: Actor,
  { state, after = "", limit }: z.output<typeof failuresQuery>,
): Promise<z.infer<typeof failuresResponse>> {
  demand(actor, "operate");
  const rows = await failuresInState(env.DB, state, { after, limit });
  return { failures: rows.map(view), next: rows.length === limit ? (rows.at(-1)?.id ?? null) : null };
}

/** @throws {ApiError} `not_found` */
export async function getFailure(env: Pick<Env, "DB">, actor: Actor, id: string): Promise<FailureView> {
  demand(actor, "operate");
  return view(await requireFailure(env.DB, id));
}

/**
 * Gives an event the right answer that nobody told. From then on it is a source; an event that was not judged counts now.
 * @throws {ApiError} `not_found`; `conflict` when it does not wait for an answer
 */
export async function answerFailure(
  env: Pick<Env, "DB">,
  actor: Actor,
  id: string,
  { answer }: z.output<typeof answerRequest>,
  nowMs: number,
): Promise<FailureView> {
  demand(actor, "operate");
  const row = await requireFailure(env.DB, id);
  if (!(await giveAnswer(env.DB, row, { answer, by: actorName(actor) }, nowMs))) {
    throw new ApiError("conflict", "This event does not wait for an answer.");
  }
  return view(await requireFailure(env.DB, id));
}

/**
 * Stores a right answer that a person or a teacher model gave: judges the response by it, and lets the event count if it did not.
 * @returns false when the event does not wait for an answer any more
 */
export async function giveAnswer(
  db: D1Database,
  row: FailureRow,
  { answer, by }: { readonly answer: string; readonly by: string },
  nowMs: number,
): Promise<boolean> {
  const verdict = sameAnswer(answer, row.response) ? "right" : "wrong";
  const known = parseRegionKey(row.region);
  const place = placeOf({
    conversation: conversation.parse(JSON.parse(row.conversation)),
    response: row.response,
    answer,
    verdict,
    task: known.task,
    language: known.language,
    // A wrong answer was counted in its region already, and stays there.
    ...(row.verdict === "wrong" && { errorType: known.errorType }),
  });
  const counts = row.verdict === "unjudged";
  const { id, clientId } = row;
  const reportCap = counts ? await reportCapOf(db, clientId) : 0;
  return storeAnswer(
    db,
    {
      id,
      reference: answer,
      verdict,
      region: counts ? place.region : row.region,
      split: place.split,
      polarity: place.polarity,
      answeredBy: by,
    },
    counts ? { clientId, reportCap, wrong: verdict === "wrong", tagged: place.tagged, region: place.region } : null,
    { actor: by, action: "failure.answer", subject: id, details: { verdict, region: place.region }, at: nowMs },
  );
}

/**
 * Lets events count that were held for this reason, the oldest first, a bounded number at once.
 * @throws {ApiError} `conflict` when somebody else releases them at the same time
 */
export async function releaseHeld(
  env: Pick<Env, "DB">,
  actor: Actor,
  { reason }: z.output<typeof releaseRequest>,
  nowMs: number,
): Promise<z.infer<typeof releaseResponse>> {
  demand(actor, "operate");
  const held = await heldFailures(env.DB, reason, RELEASED_AT_ONCE);
  if (held.length === 0) return { released: 0, more: false };
  const details = { released: held.length };
  const audit = { actor: actorName(actor), action: "failure.release", subject: reason, details, at: nowMs };
  if (!(await storeRelease(env.DB, held, audit))) {
    throw new ApiError("conflict", "Somebody else releases these events now.");
  }
  return { released: held.length, more: held.length === RELEASED_AT_ONCE };
}

/** What the intake did so far, and what it could not finish by itself. */
export async function getIntake(
  env: Pick<Env, "DB" | "BLOBS" | "INTAKE">,
  actor: Actor,
  nowMs: number,
): Promise<z.infer<typeof intakeResponse>> {
  demand(actor, "operate");
  const [states, queue, counters] = await Promise.all([countByState(env.DB), lookAtQueue(env), allMetrics(env)]);
  const eventsOf = (status: string) =>
    counters
      .filter(({ name, labels }) => name === EVENTS_TOTAL && labels === `status="${status}"`)
      .reduce((sum, { value }) => sum + value, 0);
  return {
    waiting: states.waiting,
    held: Object.fromEntries(states.held.map(({ reason, n }) => [reason, n])) as Record<HoldReason, number>,
    queuedRequests: queue.blobs,
    oldestQueuedMs: queue.oldestMs === null ? null : Math.max(0, nowMs - queue.oldestMs),
    events: Object.fromEntries(EVENT_STATUSES.map((status) => [status, eventsOf(status)])) as Record<
      (typeof EVENT_STATUSES)[number],
      number
    >,
  };
}

async function requireFailure(db: D1Database, id: string): Promise<FailureRow> {
  const row = await findFailure(db, id);
  if (!row) throw new ApiError("not_found", "There is no event with this id.");
  return row;
}

function view(row: FailureRow): FailureView {
  return {
    ...row,
    conversation: JSON.parse(row.conversation),
    details: row.details === null ? null : JSON.parse(row.details),
    missingImages: JSON.parse(row.missingImages),
  };
}
