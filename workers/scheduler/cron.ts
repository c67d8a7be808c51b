import type { Env } from "../env.ts";
import { describeError, logEvent } from "../http/log.ts";
import { sweepOverflow } from "../ingest/overflow.ts";
import { type TeacherEnv, teacherStep } from "../ingest/teacher.ts";
import { type RecheckEnv, sweepRechecks } from "../pairs/rechecks.ts";
import { retentionStep } from "../retention/step.ts";
import { forgottenJobs, noteWoken } from "../store/jobs.ts";
import { expireLeases } from "../store/leases.ts";
import { expirePairs } from "../store/pair-moves.ts";
import { currentPolicy } from "../store/policy.ts";
import { sweepReservations } from "../store/spending.ts";
import { hasNews } from "../store/statistics.ts";
import { wakeEditor } from "./queue.ts";
import { runTick, type TickEnv } from "./tick.ts";

/** As in wrangler.toml. */
const CRON_PERIOD_MS = 5 * 60_000;
/** Time after which the message that woke a queued job counts as lost: it has had two periods. */
export const SWEEP_AGE_MS = 2 * CRON_PERIOD_MS;
/** Jobs that one sweep wakes at most, so that a long queue is not made longer. */
const SWEEP_JOBS = 2_000;

/**
 * What has to happen without anybody asking: late leases end, the plan of the time slot is made when there are new reports,
 * jobs and events whose message was lost are enqueued again, pairs that waited too long end, doubted ones are checked again, what
 * was reserved and never settled counts as spent, what need not be kept goes, and the teacher is asked for right answers.
 * @param scheduledTime ms
 * @param fetcher how the judge and the teacher are reached
 */
export async function onCron(
  env: TickEnv & TeacherEnv & RecheckEnv & Pick<Env, "INTAKE_QUEUE">,
  scheduledTime: number,
  fetcher: typeof fetch = fetch,
): Promise<void> {
  const expired = await attempt("leases", () => expireLeases(env.DB, scheduledTime));
  const swept = await attempt("jobs", () => sweep(env, scheduledTime));
  const late = await attempt("queued-events", () => sweepOverflow(env, scheduledTime));
  const tick = await attempt("tick", async () =>
    (await hasNews(env.DB)) ? runTick(env, { slot: slotOf(scheduledTime), now: scheduledTime }) : null,
  );
  const expiredPairs = await attempt("pairs", async () =>
    expirePairs(env.DB, (await currentPolicy(env.DB)).document, scheduledTime),
  );
  const rechecks = await attempt("rechecks", () => sweepRechecks(env, scheduledTime, fetcher));
  const unsettled = await attempt("reservations", () => sweepReservations(env.DB, scheduledTime));
  const retention = await attempt("retention", () => retentionStep(env, scheduledTime));
  const teacher = await attempt("teacher", () => teacherStep(env, scheduledTime, fetcher));
  logEvent("cron", {
    expired,
    swept,
    late,
    tick: tick?.row.id ?? null,
    jobs: tick?.row.jobs ?? 0,
    expiredPairs,
    unsettled,
    ...rechecks,
    ...retention,
    ...teacher,
  });
}

/** No step needs another: one that fails is told to the log, and comes again with the next cron event. */
async function attempt<T>(step: string, run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    logEvent("cron-step-failed", { step, ...describeError(error) });
    return null;
  }
}

/**
 * Enqueues jobs again that have waited too long since they were last. While a model is slow, jobs wait whose message is not lost:
 * each message too many could have a job edited twice, and paid for twice.
 * @returns how many
 */
export async function sweep(env: Pick<Env, "DB" | "EDIT_QUEUE">, now: number): Promise<number> {
  const jobs = await forgottenJobs(env.DB, now - SWEEP_AGE_MS, SWEEP_JOBS);
  const enqueued = await wakeEditor(env, jobs);
  if (enqueued > 0) await noteWoken(env.DB, jobs.slice(0, enqueued), now);
  return enqueued;
}

/** The slot that a time belongs to, so that a cron event that comes twice makes one plan. */
export function slotOf(time: number): string {
  return `cron/${new Date(Math.floor(time / CRON_PERIOD_MS) * CRON_PERIOD_MS).toISOString()}`;
}
