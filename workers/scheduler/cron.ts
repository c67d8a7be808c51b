import type { Env } from "../env.ts";
import { logEvent } from "../http/log.ts";
import { forgottenJobs } from "../store/jobs.ts";
import { expireLeases } from "../store/leases.ts";
import { hasNews } from "../store/statistics.ts";
import { wakeEditor } from "./queue.ts";
import { runTick, type TickEnv } from "./tick.ts";

/** As in wrangler.toml. */
const CRON_PERIOD_MS = 5 * 60_000;
/** Age at which a queued job's message counts as lost: it has had two periods. */
export const SWEEP_AGE_MS = 2 * CRON_PERIOD_MS;
/** Jobs that one sweep wakes at most, so that a long queue is not made longer. */
const SWEEP_JOBS = 2_000;

/**
 * What has to happen without anybody asking: late leases end, the plan of the time slot is made when there are new reports,
 * and jobs whose message was lost are enqueued again.
 * @param scheduledTime ms
 */
export async function onCron(env: Pick<Env, keyof TickEnv>, scheduledTime: number): Promise<void> {
  const expired = await expireLeases(env.DB, scheduledTime);
  const swept = await sweep(env, scheduledTime);
  const tick = (await hasNews(env.DB)) ? await runTick(env, { slot: slotOf(scheduledTime), now: scheduledTime }) : null;
  logEvent("cron", { expired, swept, tick: tick?.row.id ?? null, jobs: tick?.row.jobs ?? 0 });
}

/**
 * Enqueues jobs again that have waited too long.
 * @returns how many
 */
export async function sweep(env: Pick<Env, "DB" | "EDIT_QUEUE">, now: number): Promise<number> {
  return wakeEditor(env, await forgottenJobs(env.DB, now - SWEEP_AGE_MS, SWEEP_JOBS));
}

/** The slot that a time belongs to, so that a cron event that comes twice makes one plan. */
export function slotOf(time: number): string {
  return `cron/${new Date(Math.floor(time / CRON_PERIOD_MS) * CRON_PERIOD_MS).toISOString()}`;
}
