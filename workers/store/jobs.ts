import { COST_WEIGHT } from "../../shared/hardness/statistics.ts";
import type { AuditEntry } from "./audit.ts";
import { jsonChunks } from "./chunks.ts";
import { auditWhen } from "./guard.ts";

/** A queued edit job with its source, as the editor needs it. */
export interface QueuedJob {
  readonly id: string;
  readonly errorType: string;
  readonly level: number;
  readonly sourceId: string;
  readonly task: string;
  readonly language: string;
  /** JSON */
  readonly conversation: string;
  readonly answer: string;
  readonly ownAnswer: string | null;
  /** JSON array: the rejected answers that the source has already. */
  readonly made: string;
}

/** Those of the jobs that wait to be done, with their sources. Jobs that are done, or that nobody knows, are left out. */
export async function queuedJobs(db: D1Database, ids: readonly string[]): Promise<QueuedJob[]> {
  const found = await db
    .prepare(
      `SELECT j.id, j.error_type AS errorType, j.level, s.id AS sourceId, s.task, s.language, s.conversation, s.answer,
              s.own_answer AS ownAnswer,
              (SELECT json_group_array(p.rejected) FROM pairs p WHERE p.source_id = s.id) AS made
       FROM json_each(?1) asked
       CROSS JOIN edit_jobs j ON j.id = asked.value AND j.state = 'queued'
       CROSS JOIN sources s ON s.id = j.source_id AND s.split = 'train'
       GROUP BY j.id ORDER BY j.id`,
    )
    .bind(JSON.stringify(ids))
    .all<QueuedJob>();
  return found.results;
}

/** The pair that an accepted job makes. */
export interface MadePair {
  /** The wrong answer. */
  readonly rejected: string;
  /** builtin, own, or the model's name. */
  readonly origin: string;
  /** How its question begins. */
  readonly template: string;
  /** The words of the right answer that were changed, and what stands there instead. */
  readonly spanFrom: string;
  readonly spanTo: string;
  /** Whether it may become a sentinel. */
  readonly sentinel: boolean;
}

/** What came of one job. */
export interface JobResult {
  readonly id: string;
  readonly state: "accepted" | "refused" | "failed";
  /** Why it was refused or failed. */
  readonly reason: string | null;
  /** Of an accepted one. */
  readonly pair: MadePair | null;
  /** Who edited: builtin, or the model's name. */
  readonly editor: string;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly costMicros: number;
  readonly durationMs: number;
}

/** The refusal of an edit whose text another job of the same source made at the same time. */
const DUPLICATE = "novelty.duplicate";

/**
 * Ends jobs: pairs, statistics and the jobs themselves in one transaction. Everything looks at jobs that are still queued, and
 * they stop being so in the last statement; so each counts once, however often and however concurrently its message came.
 * (Results beyond the size of a statement follow in a transaction of their own.) A pair that may become a sentinel becomes one if
 * its source has none; it is put aside at once, so that no round ever trains on it.
 * @param switched recorded if any of the jobs was still queued
 */
export async function finishJobs(
  db: D1Database,
  results: readonly JobResult[],
  now: number,
  switched: AuditEntry | null,
): Promise<void> {
  for (const [index, rows] of jsonChunks(results).entries()) {
    await db.batch(finishing(db, rows, now, index === 0 ? switched : null));
  }
}

function finishing(db: D1Database, rows: string, now: number, switched: AuditEntry | null): D1PreparedStatement[] {
  const queued = "json_each(?1) r CROSS JOIN edit_jobs j ON j.id = r.value ->> 'id' AND j.state = 'queued'";
  /** A job that made its pair a moment ago. */
  const made = "EXISTS (SELECT 1 FROM pairs p WHERE p.id = j.id)";
  const average = (cost: string) => `CASE
    WHEN news.accepted = 0 AND news.${cost} = 0 THEN regions.cost_${cost}
    WHEN regions.cost_${cost} = 0 THEN news.${cost} / max(news.accepted, 1)
    ELSE regions.cost_${cost} + ?2 * (news.${cost} / max(news.accepted, 1) - regions.cost_${cost}) END`;
  return [
    db
      .prepare(
        `INSERT INTO pairs (id, job_id, source_id, region, error_type, level, rejected, polarity, origin, state, state_reason,
                            state_at, sentinel, image, template, span_from, span_to, created_at)
         SELECT id, id, source_id, region, error_type, level, pair ->> 'rejected', polarity, pair ->> 'origin',
                iif(sentinel, 'parked', 'ready'), iif(sentinel, 'sentinel', 'accepted'), ?2, sentinel, image,
                pair ->> 'template', pair ->> 'spanFrom', pair ->> 'spanTo', ?2
         FROM (
           SELECT j.id, s.id AS source_id, j.region, j.error_type, j.level, r.value -> 'pair' AS pair, s.polarity,
                  s.images ->> 0 AS image,
                  r.value ->> '$.pair.sentinel'
                    AND 1 = row_number() OVER (PARTITION BY s.id, r.value ->> '$.pair.sentinel' ORDER BY j.id)
                    AND NOT EXISTS (SELECT 1 FROM pairs p WHERE p.source_id = s.id AND p.sentinel = 1) AS sentinel
           FROM ${queued} CROSS JOIN sources s ON s.id = j.source_id WHERE r.value ->> 'state' = 'accepted'
         ) WHERE true ON CONFLICT DO NOTHING`,
      )
      .bind(rows, now),
    db
      .prepare(
        `INSERT INTO region_levels (region, level, attempted, refused)
         SELECT j.region, j.level, count(*), sum(NOT ${made}) FROM ${queued}
         WHERE r.value ->> 'state' <> 'failed' GROUP BY j.region, j.level
         ON CONFLICT DO UPDATE SET attempted = attempted + excluded.attempted, refused = refused + excluded.refused`,
      )
      .bind(rows),
    db
      .prepare(
        `UPDATE regions SET cost_tokens = ${average("tokens")}, cost_micros = ${average("micros")}
         FROM (
           SELECT j.region, sum(${made}) AS accepted,
                  CAST(sum(r.value ->> 'tokensIn' + r.value ->> 'tokensOut') AS REAL) AS tokens,
                  CAST(sum(r.value ->> 'costMicros') AS REAL) AS micros
           FROM ${queued} GROUP BY j.region
         ) news WHERE regions.key = news.region`,
      )
      .bind(rows, COST_WEIGHT),
    ...(switched ? [auditWhen(db, { sql: `EXISTS (SELECT 1 FROM ${queued})`, params: [rows] }, switched)] : []),
    db
      .prepare(
        `UPDATE edit_jobs SET
           state = CASE WHEN done.state = 'accepted' AND NOT done.made THEN 'refused' ELSE done.state END,
           reason = CASE WHEN done.state = 'accepted' AND NOT done.made THEN '${DUPLICATE}' ELSE done.reason END,
           editor = done.editor, tokens_in = done.tokens_in, tokens_out = done.tokens_out,
           cost_micros = done.cost_micros, duration_ms = done.duration_ms, finished_at = ?2
         FROM (
           SELECT j.id, r.value ->> 'state' AS state, r.value ->> 'reason' AS reason, r.value ->> 'editor' AS editor,
                  r.value ->> 'tokensIn' AS tokens_in, r.value ->> 'tokensOut' AS tokens_out,
                  r.value ->> 'costMicros' AS cost_micros, r.value ->> 'durationMs' AS duration_ms, ${made} AS made
           FROM ${queued}
         ) done WHERE edit_jobs.id = done.id`,
      )
      .bind(rows, now),
  ];
}

/** Queued jobs that were ordered, and woken last, before `before` (ms); those that have waited longest first. */
export async function forgottenJobs(db: D1Database, before: number, limit: number): Promise<string[]> {
  const found = await db
    .prepare(`SELECT id FROM edit_jobs WHERE state = 'queued' AND coalesce(woken_at, created_at) < ?1
       ORDER BY coalesce(woken_at, created_at) LIMIT ?2`)
    .bind(before, limit)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

/** Notes that the jobs were woken again. */
export async function noteWoken(db: D1Database, ids: readonly string[], now: number): Promise<void> {
  await db
    .prepare("UPDATE edit_jobs SET woken_at = ?2 WHERE state = 'queued' AND id IN (SELECT value FROM json_each(?1))")
    .bind(JSON.stringify(ids), now)
    .run();
}

/** The tick's jobs that wait to be done. */
export async function queuedJobsOfTick(db: D1Database, tickId: number): Promise<string[]> {
  const found = await db
    .prepare("SELECT id FROM edit_jobs WHERE tick_id = ?1 AND state = 'queued' ORDER BY rowid")
    .bind(tickId)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

/** How many of a tick's jobs have this state, reason and editor. */
export interface JobCount {
  readonly state: "queued" | "accepted" | "refused" | "failed";
  readonly reason: string | null;
  readonly editor: string | null;
  readonly jobs: number;
}

export async function countJobs(db: D1Database, tickId: number): Promise<JobCount[]> {
  const found = await db
    .prepare(
      `SELECT state, reason, editor, count(*) AS jobs FROM edit_jobs WHERE tick_id = ?1
       GROUP BY state, reason, editor ORDER BY state, reason, editor`,
    )
    .bind(tickId)
    .all<JobCount>();
  return found.results;
}
