import type { ErasureRow } from "../../shared/contracts/retention.ts";
import { type Archive, replaceArchive } from "./archives.ts";
import { jsonChunks } from "./chunks.ts";
import { auditWhen, type Guard } from "./guard.ts";
import { beginImages } from "./removals.ts";

/** Erasures listed at once, the newest first. */
const ERASURES_SHOWN = 500;

export interface Erasure extends Omit<ErasureRow, "removed"> {
  /** The last archive looked at; empty before the first. */
  readonly position: string;
  /** JSON: counts by kind. */
  readonly removed: string;
}

const COLUMNS = `id, subject_kind AS kind, subject, state, coalesce(position, '') AS position, removed,
  requested_by AS requestedBy, requested_at AS requestedAt, finished_at AS finishedAt`;

export async function findErasure(db: D1Database, id: string): Promise<Erasure | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM erasures WHERE id = ?1`).bind(id).first<Erasure>();
}

export async function listErasures(db: D1Database): Promise<Erasure[]> {
  const found = await db
    .prepare(`SELECT ${COLUMNS} FROM erasures ORDER BY requested_at DESC, id LIMIT ?1`)
    .bind(ERASURES_SHOWN)
    .all<Erasure>();
  return found.results;
}

/** Those that are not done, the oldest first. */
export async function runningErasures(db: D1Database, limit: number): Promise<Erasure[]> {
  const found = await db
    .prepare(`SELECT ${COLUMNS} FROM erasures WHERE state = 'running' ORDER BY requested_at, id LIMIT ?1`)
    .bind(limit)
    .all<Erasure>();
  return found.results;
}

/**
 * Stores the erasure, unless one of the same subject is running.
 * @returns the one that is running now
 */
export async function insertErasure(
  db: D1Database,
  erasure: Pick<Erasure, "id" | "kind" | "subject" | "requestedBy" | "requestedAt">,
): Promise<Erasure> {
  const running = "subject_kind = ?2 AND subject = ?3 AND state = 'running'";
  const { id, kind, subject, requestedBy, requestedAt } = erasure;
  const audit = { actor: requestedBy, action: "erasure.request", subject: id, details: { [kind]: subject } };
  const [, , found] = await db.batch<Erasure>([
    db
      .prepare(
        `INSERT INTO erasures (id, subject_kind, subject, state, requested_by, requested_at)
         SELECT ?1, ?2, ?3, 'running', ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM erasures WHERE ${running})`,
      )
      .bind(id, kind, subject, requestedBy, requestedAt),
    auditWhen(
      db,
      { sql: "EXISTS (SELECT 1 FROM erasures WHERE id = ?1)", params: [id] },
      { ...audit, at: requestedAt },
    ),
    db.prepare(`SELECT ${COLUMNS} FROM erasures WHERE ${running}`).bind(id, kind, subject),
  ]);
  const stored = found?.results[0];
  if (!stored) throw new Error("the erasure was not stored");
  return stored;
}

export async function clientExists(db: D1Database, id: string): Promise<boolean> {
  return (await db.prepare("SELECT 1 FROM clients WHERE id = ?1").bind(id).first()) !== null;
}

/** Some events of the client that are in the database. */
export async function eventsOf(db: D1Database, clientId: string, limit: number): Promise<string[]> {
  const found = await db
    .prepare("SELECT id FROM failures WHERE client_id = ?1 LIMIT ?2")
    .bind(clientId, limit)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

/** Some sources of the client whose events have left the database. */
export async function sourcesOf(db: D1Database, clientId: string, limit: number): Promise<string[]> {
  const found = await db
    .prepare("SELECT id FROM sources WHERE client_id = ?1 LIMIT ?2")
    .bind(clientId, limit)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

const IDS = "(SELECT value FROM json_each(?1))";
/** A source has the id of its event. */
const SOURCES = `(SELECT id FROM sources WHERE id IN ${IDS} UNION SELECT id FROM sources WHERE failure_id IN ${IDS})`;
const PAIRS = `(SELECT id FROM pairs WHERE source_id IN ${SOURCES})`;

export interface ErasedEvents {
  readonly erasureId: string;
  /** Of events, or of sources without one. */
  readonly ids: readonly string[];
  /** Images that go too if nothing else shows them. */
  readonly images: readonly string[];
  /** ms */
  readonly now: number;
}

/** The archive that holds the erased events. */
export interface ArchiveChange {
  readonly blob: string;
  /** What takes its place, written already; null when nothing is left of it. */
  readonly next: Archive | null;
  /** How many of its lines go. */
  readonly lines: number;
}

/**
 * Deletes events and all that was made of them in one transaction, children first. Pairs go whatever their state; a round that
 * holds one goes on without it. Statistics keep their counts, but for the pairs that wait. Safe to repeat.
 * @returns the names of the blobs to delete
 */
export async function eraseEvents(db: D1Database, erased: ErasedEvents, archive?: ArchiveChange): Promise<string[]> {
  const ids = JSON.stringify(erased.ids);
  const { erasureId, now } = erased;
  const remove = (sql: string) => db.prepare(`DELETE FROM ${sql}`).bind(ids);
  const images = jsonChunks(erased.images).flatMap((chunk) =>
    beginImages(db, { images: chunk, before: null, erasureId, now }),
  );
  const results = await db.batch<{ blob: string }>([
    count(db, erased, archive),
    remove(`pair_scores WHERE pair_id IN ${PAIRS}`),
    remove(`pair_refusals WHERE pair_id IN ${PAIRS}`),
    remove(`sentinel_scores WHERE pair_id IN ${PAIRS}`),
    remove(`rechecks WHERE pair_id IN ${PAIRS}`),
    remove(`pairs WHERE source_id IN ${SOURCES}`),
    remove(`edit_jobs WHERE source_id IN ${SOURCES}`),
    remove(`sources WHERE id IN ${SOURCES}`),
    remove(`image_refs WHERE failure_id IN ${IDS}`),
    remove(`failures WHERE id IN ${IDS}`),
    ...(archive ? replaceArchive(db, { blob: archive.blob, erasureId, now }, archive.next) : []),
    ...images,
  ]);
  return results.flatMap((result) => result.results.map(({ blob }) => blob));
}

/** Adds up what the transaction is about to delete. */
function count(
  db: D1Database,
  { erasureId, ids }: ErasedEvents,
  archive: ArchiveChange | undefined,
): D1PreparedStatement {
  const add = (kind: string, counted: string) => `'$.${kind}', coalesce(removed ->> '${kind}', 0) + (${counted})`;
  return db
    .prepare(
      `UPDATE erasures SET position = coalesce(max(position, ?3), position, ?3), removed = json_set(removed,
         ${add("events", `SELECT count(*) FROM failures WHERE id IN ${IDS}`)},
         ${add("archivedEvents", "SELECT coalesce(sum(?4), 0) FROM archives WHERE blob = ?3")},
         ${add("sources", `SELECT count(*) FROM ${SOURCES}`)},
         ${add("jobs", `SELECT count(*) FROM edit_jobs WHERE source_id IN ${SOURCES}`)},
         ${add("pairs", `SELECT count(*) FROM ${PAIRS}`)})
       WHERE id = ?2`,
    )
    .bind(JSON.stringify(ids), erasureId, archive?.blob ?? null, archive?.lines ?? 0);
}

/** Notes that the archives up to this one were looked at. */
export async function passArchive(db: D1Database, erasureId: string, blob: string): Promise<void> {
  await db
    .prepare("UPDATE erasures SET position = max(coalesce(position, ''), ?2) WHERE id = ?1")
    .bind(erasureId, blob)
    .run();
}

/** Nothing of the subject (?2) is left, and no blob of this erasure (?1) either. */
const COMPLETE = `EXISTS (SELECT 1 FROM erasures WHERE id = ?1 AND state = 'running')
  AND NOT EXISTS (SELECT 1 FROM removals WHERE erasure_id = ?1 AND done = 0)`;
const GONE = {
  client: `NOT EXISTS (SELECT 1 FROM failures WHERE client_id = ?2) AND NOT EXISTS (SELECT 1 FROM archives WHERE client_id = ?2)
    AND NOT EXISTS (SELECT 1 FROM sources WHERE client_id = ?2)`,
  image:
    "NOT EXISTS (SELECT 1 FROM image_refs WHERE image = ?2) AND NOT EXISTS (SELECT 1 FROM images WHERE sha256 = ?2)",
} as const;

/** Ends the erasure, if nothing is left to do. @returns false when something is */
export async function finishErasure(db: D1Database, erasure: Erasure, now: number): Promise<boolean> {
  const { id, kind, subject, requestedBy } = erasure;
  const complete: Guard = { sql: `${COMPLETE} AND ${GONE[kind]}`, params: [id, subject] };
  const counts = `json_set(removed, '$.images',
    (SELECT count(*) FROM removals WHERE erasure_id = ?1 AND blob LIKE 'images/%'))`;
  const [audited] = await db.batch([
    db
      .prepare(
        `INSERT INTO audit_log (at, actor, action, subject, details)
         SELECT ?3, ?4, 'erasure.done', ?1, json_set(${counts}, '$.${kind}', ?2) FROM erasures
         WHERE id = ?1 AND ${complete.sql}`,
      )
      .bind(...complete.params, now, requestedBy),
    db
      .prepare(`DELETE FROM region_reports WHERE ?3 AND client_id = ?2 AND ${complete.sql}`)
      .bind(...complete.params, kind === "client" ? 1 : 0),
    db
      .prepare(
        `UPDATE erasures SET state = 'done', finished_at = ?3, removed = ${counts} WHERE id = ?1 AND ${complete.sql}`,
      )
      .bind(...complete.params, now),
  ]);
  return audited?.meta.changes === 1;
}
