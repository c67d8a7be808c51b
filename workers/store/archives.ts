import type { AuditEntry } from "./audit.ts";
import { auditWhen, type Guard } from "./guard.ts";
import { noteImages } from "./image-refs.ts";
import { beginBlob } from "./removals.ts";

/** A row of `failures` with all its columns, as a line of an archive holds it. */
export interface EventLine {
  readonly id: string;
  readonly client_id: string;
  /** ms */
  readonly received_at: number;
  /** JSON array of hashes */
  readonly images: string;
  readonly [column: string]: unknown;
}

/** An event that may be old enough, without its texts. */
export interface Ageing {
  readonly id: string;
  readonly clientId: string;
  readonly receivedAt: number;
  /** Of its texts. */
  readonly bytes: number;
}

/** The first events by id, behind `after` and before `until`. */
export async function ageing(db: D1Database, after: string, until: string, limit: number): Promise<Ageing[]> {
  const found = await db
    .prepare(
      `SELECT id, client_id AS clientId, received_at AS receivedAt,
              octet_length(conversation) + octet_length(response) + coalesce(octet_length(reference), 0)
                + coalesce(octet_length(details), 0) + octet_length(images) AS bytes
       FROM failures WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3`,
    )
    .bind(after, until, limit)
    .all<Ageing>();
  return found.results;
}

/** What an operator or a teacher may still change of an event: all else of it stays as it came. */
const MARK = "json_array(f.verdict, f.region, f.held, f.answered_by, f.reference IS NULL, f.split, f.polarity)";

export interface MarkedLine {
  readonly line: EventLine;
  readonly mark: string;
}

/** These events, in the order of their ids. */
export async function readEvents(db: D1Database, ids: readonly string[]): Promise<MarkedLine[]> {
  const found = await db
    .prepare(
      `SELECT f.*, ${MARK} AS mark FROM json_each(?1) asked CROSS JOIN failures f ON f.id = asked.value ORDER BY f.id`,
    )
    .bind(JSON.stringify(ids))
    .all<EventLine & { readonly mark: string }>();
  return found.results.map(({ mark, ...line }) => ({ line: line as EventLine, mark }));
}

/** An object of archived events of one client. */
export interface Archive {
  /** Its name in the blob store. */
  readonly blob: string;
  readonly clientId: string;
  readonly firstReceivedAt: number;
  readonly lastReceivedAt: number;
  readonly events: number;
  readonly bytes: number;
}

const COLUMNS = `blob, client_id AS clientId, first_received_at AS firstReceivedAt, last_received_at AS lastReceivedAt,
  events, bytes`;

function insertArchive(db: D1Database, archive: Archive, now: number, when: Guard): D1PreparedStatement {
  const at = when.params.length;
  const places = Array.from({ length: 7 }, (_, index) => `?${at + index + 1}`).join(", ");
  return db
    .prepare(
      `INSERT INTO archives (blob, client_id, first_received_at, last_received_at, events, bytes, created_at)
       SELECT ${places} WHERE ${when.sql}`,
    )
    .bind(
      ...when.params,
      archive.blob,
      archive.clientId,
      archive.firstReceivedAt,
      archive.lastReceivedAt,
      archive.events,
      archive.bytes,
      now,
    );
}

/**
 * Moves events from the database to an archive whose blob is written already: all of them, unless one was changed or deleted
 * since it was read, or an erasure is running, which could miss what moves while it looks. Sources of the events keep their id,
 * which is the event's, and from now on name its client themselves.
 * @returns false when nothing was moved
 */
export async function moveToArchive(
  db: D1Database,
  archive: Archive,
  events: readonly MarkedLine[],
  audit: AuditEntry,
): Promise<boolean> {
  const marks = JSON.stringify(events.map(({ line, mark }) => [line.id, mark]));
  const ids = JSON.stringify(events.map(({ line }) => line.id));
  const unchanged: Guard = {
    sql: `(SELECT count(*) FROM json_each(?1) read CROSS JOIN failures f ON f.id = read.value ->> 0
             AND ${MARK} = read.value ->> 1) = ?2
          AND NOT EXISTS (SELECT 1 FROM erasures WHERE state = 'running')`,
    params: [marks, events.length],
  };
  const moved = "EXISTS (SELECT 1 FROM archives WHERE blob = ?1)";
  const ours = "IN (SELECT value FROM json_each(?2))";
  const [inserted] = await db.batch([
    insertArchive(db, archive, audit.at, unchanged),
    auditWhen(db, { sql: moved, params: [archive.blob] }, audit),
    noteImages(db, `f.id ${ours} AND ${moved}`, [archive.blob, ids]),
    db
      .prepare(`UPDATE sources SET failure_id = NULL, client_id = ?3 WHERE failure_id ${ours} AND ${moved}`)
      .bind(archive.blob, ids, archive.clientId),
    db.prepare(`DELETE FROM failures WHERE id ${ours} AND ${moved}`).bind(archive.blob, ids),
  ]);
  return inserted?.meta.changes === 1;
}

/** Archives whose newest event came before `before` (ms), the oldest first. */
export async function expiredArchives(db: D1Database, before: number, limit: number): Promise<Archive[]> {
  const found = await db
    .prepare(`SELECT ${COLUMNS} FROM archives WHERE last_received_at < ?1 ORDER BY last_received_at LIMIT ?2`)
    .bind(before, limit)
    .all<Archive>();
  return found.results;
}

/**
 * Gives up an archive with these events; its blob remains to be deleted. Images that a source shows stay noted.
 * @returns false when somebody else did, or when it was rewritten
 */
export async function dropArchive(
  db: D1Database,
  blob: string,
  ids: readonly string[],
  audit: AuditEntry,
): Promise<boolean> {
  const stands: Guard = { sql: "EXISTS (SELECT 1 FROM archives WHERE blob = ?1)", params: [blob] };
  const [audited] = await db.batch([
    auditWhen(db, stands, audit),
    db
      .prepare(
        `DELETE FROM image_refs WHERE failure_id IN (SELECT value FROM json_each(?2)) AND ${stands.sql}
           AND NOT EXISTS (SELECT 1 FROM sources WHERE sources.id = image_refs.failure_id)`,
      )
      .bind(blob, JSON.stringify(ids)),
    ...endArchive(db, { blob, erasureId: null, now: audit.at }),
  ]);
  return audited?.meta.changes === 1;
}

/** The statements that drop an archive's row, if it is there, and begin to remove its blob. */
export function endArchive(
  db: D1Database,
  removal: { readonly blob: string; readonly erasureId: string | null; readonly now: number },
): D1PreparedStatement[] {
  return [
    beginBlob(db, removal, "EXISTS (SELECT 1 FROM archives WHERE blob = ?1)"),
    db.prepare("DELETE FROM archives WHERE blob = ?1").bind(removal.blob),
  ];
}

/** The statements that put one archive, whose blob is written already, in the place of another, if that is still there. */
export function replaceArchive(
  db: D1Database,
  removal: { readonly blob: string; readonly erasureId: string; readonly now: number },
  next: Archive | null,
): D1PreparedStatement[] {
  const stands: Guard = { sql: "EXISTS (SELECT 1 FROM archives WHERE blob = ?1)", params: [removal.blob] };
  return [...(next ? [insertArchive(db, next, removal.now, stands)] : []), ...endArchive(db, removal)];
}

/** The archive of the client, if it has one. */
export async function someArchiveOf(db: D1Database, clientId: string): Promise<Archive | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM archives WHERE client_id = ?1 LIMIT 1`).bind(clientId).first<Archive>();
}

/** The first archive by name behind `after`. */
export async function nextArchive(db: D1Database, after: string): Promise<Archive | null> {
  return db
    .prepare(`SELECT ${COLUMNS} FROM archives WHERE blob > ?1 ORDER BY blob LIMIT 1`)
    .bind(after)
    .first<Archive>();
}
