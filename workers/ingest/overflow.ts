import type { Env, IntakeMessage } from "../env.ts";
import { ApiError } from "../http/errors.ts";
import { describeError, logEvent } from "../http/log.ts";
import type { Submission } from "../store/failures.ts";
import { intakeObject, isAway } from "./intake-object.ts";

/**
 * Where events wait when the database is too busy. Each request becomes one blob, written before it is answered; the queue only
 * wakes the consumer, and the sweep finds what a lost message left behind.
 */

/** Blobs of waiting events; the name goes on with the time of arrival in ms and a random part, so the oldest comes first. */
export const OVERFLOW_PREFIX = "intake/";
const TIME_DIGITS = 16;
/** Age at which a blob's message counts as lost. */
const SWEEP_AGE_MS = 2 * 60_000;
/** Blobs that one sweep wakes at most, and that one message names. */
const SWEEP_BLOBS = 1_000;
const BLOBS_PER_MESSAGE = 100;
const RETRY_DELAY_S = 10;

/**
 * Writes a request's events down for later.
 * @throws {ApiError} `overloaded` when that fails too
 */
export async function putAside(env: Pick<Env, "BLOBS" | "INTAKE_QUEUE">, submission: Submission): Promise<void> {
  const time = String(submission.receivedAt).padStart(TIME_DIGITS, "0");
  const blob = `${OVERFLOW_PREFIX}${time}-${crypto.randomUUID()}.json`;
  try {
    await env.BLOBS.put(blob, JSON.stringify({ submission }));
  } catch (error) {
    logEvent("not-put-aside", describeError(error));
    throw new ApiError("overloaded", "The database is busy. The same request may be sent again.");
  }
  await wakeIntake(env, [blob]);
}

/** Enqueues blobs; one that is not enqueued is not lost, the sweep finds it. */
async function wakeIntake(env: Pick<Env, "INTAKE_QUEUE">, blobs: readonly string[]): Promise<void> {
  for (let at = 0; at < blobs.length; at += BLOBS_PER_MESSAGE) {
    const message: IntakeMessage = { blobs: blobs.slice(at, at + BLOBS_PER_MESSAGE) };
    try {
      await env.INTAKE_QUEUE.send(message);
    } catch (error) {
      logEvent("enqueue-failed", { blobs: blobs.length - at, ...describeError(error) });
      return;
    }
  }
}

type ConsumerEnv = Pick<Env, "BLOBS" | "INTAKE">;

/** The queue's consumer: stores what the named blobs hold, and deletes them. A message that comes twice changes nothing. */
export async function onIntakeMessages(batch: MessageBatch<IntakeMessage>, env: ConsumerEnv): Promise<void> {
  for (const message of batch.messages) {
    const left = await drain(env, message.body.blobs);
    if (left === 0) message.ack();
    else message.retry({ delaySeconds: RETRY_DELAY_S });
  }
}

/** @returns how many blobs the database was still too busy for */
async function drain(env: ConsumerEnv, blobs: readonly string[]): Promise<number> {
  for (const [index, blob] of blobs.entries()) {
    const object = await env.BLOBS.get(blob);
    if (!object) continue; // stored before
    const { submission } = await object.json<{ submission: Submission }>();
    if (!(await storeLate(env, submission))) return blobs.length - index;
    await env.BLOBS.delete(blob);
  }
  return 0;
}

async function storeLate(env: ConsumerEnv, submission: Submission): Promise<boolean> {
  try {
    return await intakeObject(env).submitLate(submission);
  } catch (error) {
    if (isAway(error)) return false;
    throw error;
  }
}

/**
 * Enqueues again what has waited too long.
 * @returns how many blobs
 */
export async function sweepOverflow(env: Pick<Env, "BLOBS" | "INTAKE_QUEUE">, nowMs: number): Promise<number> {
  const { objects } = await env.BLOBS.list({ prefix: OVERFLOW_PREFIX, limit: SWEEP_BLOBS });
  const lost = objects.map(({ key }) => key).filter((key) => arrivedAt(key) <= nowMs - SWEEP_AGE_MS);
  await wakeIntake(env, lost);
  return lost.length;
}

/** How many requests wait, counted up to a limit, and when the oldest arrived; ms. */
export async function lookAtQueue(env: Pick<Env, "BLOBS">): Promise<{ blobs: number; oldestMs: number | null }> {
  const { objects } = await env.BLOBS.list({ prefix: OVERFLOW_PREFIX, limit: SWEEP_BLOBS });
  const [oldest] = objects;
  return { blobs: objects.length, oldestMs: oldest ? arrivedAt(oldest.key) : null };
}

/** When the events of a blob arrived; ms. */
export function arrivedAt(blob: string): number {
  return Number(blob.slice(OVERFLOW_PREFIX.length, OVERFLOW_PREFIX.length + TIME_DIGITS));
}
