import { jsonChunks } from "./chunks.ts";
import { isUniqueViolation } from "./db.ts";
import { imagesPresent } from "./pairs.ts";
import { editableSources, type SourceGroup, type Window } from "./statistics.ts";

/** A stored tick. `inputs` and `plan` are canonical JSON, or the name of the blob that holds it. */
export interface TickRow {
  readonly id: number;
  readonly slot: string;
  /** ms */
  readonly at: number;
  readonly policyVersion: number;
  readonly seed: number;
  readonly inputs: string;
  readonly inputsSha256: string;
  readonly plan: string;
  readonly planSha256: string;
  readonly jobs: number;
}

const COLUMNS = `id, slot, at, policy_version AS policyVersion, seed, inputs, inputs_sha256 AS inputsSha256, plan,
  plan_sha256 AS planSha256, jobs`;

export async function findTick(db: D1Database, id: number): Promise<TickRow | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM ticks WHERE id = ?1`).bind(id).first<TickRow>();
}

export async function findTickOfSlot(db: D1Database, slot: string): Promise<TickRow | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM ticks WHERE slot = ?1`).bind(slot).first<TickRow>();
}

/** A source that may be chosen for edits. */
export interface EditableSource {
  readonly id: string;
  readonly errorType: string;
  /** The deployed model answered otherwise. */
  readonly wrong: boolean;
  readonly polarity: "yes" | "no" | null;
  /** Jobs ordered so far. */
  readonly jobs: number;
  /** What was ordered: `errorType/level`. */
  readonly ordered: readonly string[];
}

/** The sources of a group in the window, if they have all their images. */
export async function editableOf(
  db: D1Database,
  { task, language, modality }: SourceGroup,
  window: Window,
): Promise<EditableSource[]> {
  const found = await db
    .prepare(
      `SELECT id, error_type AS errorType, own_answer IS NOT NULL AS wrong, polarity, jobs,
              (SELECT json_group_array(j.error_type || '/' || j.level) FROM edit_jobs j WHERE j.source_id = recent.id)
                AS ordered
       FROM (${editableSources("id, error_type, own_answer, polarity, jobs, images")}) recent
       WHERE ${imagesPresent("recent")}`,
    )
    .bind(task, language, modality, window.maxJobs, window.limit)
    .all<Omit<EditableSource, "wrong" | "ordered"> & { readonly wrong: number; readonly ordered: string }>();
  return found.results.map((row) => ({ ...row, wrong: row.wrong === 1, ordered: JSON.parse(row.ordered) }));
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
  /** Of the plan; null leaves the region's level and the time of its last plan as they are. */
  readonly level: number | null;
}

export interface NewTick extends Omit<TickRow, "jobs"> {
  readonly orders: readonly NewJob[];
  readonly regions: readonly RegionAfterTick[];
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
      ...jsonChunks(tick.regions).map((regions) => updateRegions(db, tick, regions)),
      // Every client's reports count anew.
      db.prepare("DELETE FROM region_reports"),
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
      `INSERT INTO ticks (id, slot, at, policy_version, seed, inputs, inputs_sha256, plan, plan_sha256, jobs)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)`,
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

function updateRegions(db: D1Database, tick: NewTick, regions: string): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE regions SET failures = after.failures, exposures = after.exposures, failure_mass = after.failure_mass,
              new_failures = new_failures - after.counted_failures,
              new_exposures = new_exposures - after.counted_exposures,
              level = coalesce(after.level, regions.level),
              planned_at = CASE WHEN after.level IS NULL THEN planned_at ELSE ?2 END
       FROM (SELECT value ->> 'key' AS key, value ->> 'failures' AS failures, value ->> 'exposures' AS exposures,
                    value ->> 'failureMass' AS failure_mass, value ->> 'countedFailures' AS counted_failures,
                    value ->> 'countedExposures' AS counted_exposures, value ->> 'level' AS level
             FROM json_each(?1)) after
       WHERE regions.key = after.key`,
    )
    .bind(regions, tick.at);
}
