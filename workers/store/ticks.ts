import type { RateWatch } from "../../shared/hardness/alarms.ts";
import { jsonChunks } from "./chunks.ts";
import { isUniqueViolation } from "./db.ts";
import { type ClientReports, forgetReports } from "./region-reports.ts";

/** A stored tick. `inputs` and `plan` are records as `shared/hardness` writes them, or the name of the blob that holds one. */
export interface TickRow {
  readonly id: number;
  readonly slot: string;
  /** ms */
  readonly at: number;
  readonly policyVersion: number;
  readonly seed: number;
  /** Of the inputs. */
  readonly format: number;
  readonly inputs: string;
  readonly inputsSha256: string;
  readonly plan: string;
  readonly planSha256: string;
  readonly jobs: number;
}

const COLUMNS = `id, slot, at, policy_version AS policyVersion, seed, format, inputs, inputs_sha256 AS inputsSha256, plan,
  plan_sha256 AS planSha256, jobs`;

export async function findTick(db: D1Database, id: number): Promise<TickRow | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM ticks WHERE id = ?1`).bind(id).first<TickRow>();
}

export async function findTickOfSlot(db: D1Database, slot: string): Promise<TickRow | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM ticks WHERE slot = ?1`).bind(slot).first<TickRow>();
}

/** An edit to order. */
export interface NewJob {
  readonly id: string;
  readonly sourceId: string;
  readonly region: string;
  readonly errorType: string;
  readonly level: number;
}

/** What a tick makes of one region. */
export interface RegionAfterTick {
  readonly key: string;
  readonly failures: number;
  readonly exposures: number;
  readonly failureMass: number;
  /** What the tick has counted; more may have come in since. */
  readonly countedFailures: number;
  readonly countedExposures: number;
  /** Of the plan; null leaves the region's level and the time of its last plan as they are. See `updateRegions` for a higher one. */
  readonly level: number | null;
  readonly rateWatch: RateWatch;
}

export interface NewTick extends Omit<TickRow, "jobs"> {
  readonly orders: readonly NewJob[];
  readonly regions: readonly RegionAfterTick[];
  /** What it has counted. */
  readonly reports: readonly ClientReports[];
  /** Regions without a failure since then, with nothing ready, are left out of plans from now on; ms. */
  readonly archiveBefore: number;
}

/**
 * Stores a tick, its jobs and the statistics after it in one transaction. Its id and its slot are unique: of two ticks that
 * start from the same state, or for the same slot, one is stored.
 * @returns the ids of the jobs to wake the editor for; null when another tick came first, and nothing has changed
 */
export async function insertTick(db: D1Database, tick: NewTick): Promise<string[] | null> {
  try {
    const results = await db.batch<{ id: string }>([
      insertRow(db, tick),
      ...jsonChunks(tick.orders).map((orders) => insertJobs(db, tick, orders)),
      db
        .prepare(
          `UPDATE sources SET jobs = sources.jobs + ordered.jobs
           FROM (SELECT source_id, count(*) AS jobs FROM edit_jobs WHERE tick_id = ?1 GROUP BY source_id) ordered
           WHERE sources.id = ordered.source_id`,
        )
        .bind(tick.id),
      ...jsonChunks(tick.regions.map(columnsAfter)).map((regions) => updateRegions(db, tick, regions)),
      ...forgetReports(db, tick.reports),
      db
        .prepare("UPDATE ticks SET jobs = (SELECT count(*) FROM edit_jobs WHERE tick_id = ?1) WHERE id = ?1")
        .bind(tick.id),
      db.prepare("SELECT id FROM edit_jobs WHERE tick_id = ?1 ORDER BY rowid").bind(tick.id),
    ]);
    return results.at(-1)?.results.map(({ id }) => id) ?? [];
  } catch (error) {
    if (isUniqueViolation(error)) return null;
    throw error;
  }
}

function insertRow(db: D1Database, tick: NewTick): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO ticks (id, slot, at, policy_version, seed, inputs, inputs_sha256, plan, plan_sha256, format, jobs)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)`,
    )
    .bind(
      tick.id,
      tick.slot,
      tick.at,
      tick.policyVersion,
      tick.seed,
      tick.inputs,
      tick.inputsSha256,
      tick.plan,
      tick.planSha256,
      tick.format,
    );
}

function insertJobs(db: D1Database, tick: NewTick, orders: string): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO edit_jobs (id, tick_id, source_id, region, error_type, level, state, created_at)
       SELECT o.value ->> 'id', ?2, s.id, o.value ->> 'region', o.value ->> 'errorType', o.value ->> 'level', 'queued', ?3
       FROM json_each(?1) o
       CROSS JOIN sources s ON s.id = o.value ->> 'sourceId' AND s.split = 'train'
       WHERE true ON CONFLICT DO NOTHING`,
    )
    .bind(orders, tick.id, tick.at);
}

/** As `updateRegions` reads them. */
function columnsAfter(region: RegionAfterTick) {
  const { key, failures, exposures, failureMass, countedFailures, countedExposures, level, rateWatch } = region;
  return [key, failures, exposures, failureMass, countedFailures, countedExposures, level, rateWatch];
}

/** When the last round ended; null before the first. */
const LAST_ROUND_AT = "(SELECT max(finished_at) FROM rounds WHERE state = 'completed')";

/**
 * The first plan of a region says where it starts. From then on its level rises by the first tick after a round only, and plans go
 * one step above it at most: so by one step per round, however many ticks there are between two.
 */
function updateRegions(db: D1Database, tick: NewTick, regions: string): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE regions SET failures = after.value ->> 1, exposures = after.value ->> 2, failure_mass = after.value ->> 3,
              new_failures = new_failures - (after.value ->> 4), new_exposures = new_exposures - (after.value ->> 5),
              level = iif(after.value ->> 6 < level OR planned_at IS NULL OR planned_at < ${LAST_ROUND_AT},
                coalesce(after.value ->> 6, level), level),
              planned_at = iif(after.value ->> 6 IS NULL, planned_at, ?2),
              rate_watch = after.value ->> 7,
              archived_at = iif(archived_at IS NULL AND backlog = 0 AND new_failures = 0
                AND coalesce(last_failed_at, created_at) < ?3, ?2, archived_at)
       FROM jsonb_each(?1) after WHERE regions.key = after.value ->> 0`,
    )
    .bind(regions, tick.at, tick.archiveBefore);
}
