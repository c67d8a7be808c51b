import type { AuditEntry } from "./audit.ts";
import { unseen } from "./image-refs.ts";

/**
 * Blobs that have to go. In one transaction their rows go and their names are written down here; then the blobs are deleted; then
 * they are marked as done. So what has a row has its blob, and a crash in between leaves a note of what is left to do.
 *
 * An upload in the meantime would lose its bytes and keep its row. So a row is only made if no removal of its blob is under way,
 * and none was begun since the upload looked (see `insertImage`).
 */

/** Where images lie in the blob store. */
export const IMAGE_PREFIX = "images/";

/** The images with these hashes (?1) whose removal is under way; rows of such images live for a statement or two only. */
const CONDEMNED = `EXISTS (SELECT 1 FROM removals r WHERE r.blob = '${IMAGE_PREFIX}' || images.sha256 AND r.done = 0)`;

/** A removal is begun anew when the blob came back since it was removed last. */
const AGAIN = `ON CONFLICT (blob) DO UPDATE SET erasure_id = excluded.erasure_id, done = 0,
  begun_at = max(excluded.begun_at, removals.begun_at + 1) WHERE removals.done = 1`;

export interface ImageRemoval {
  /** JSON array of hashes. */
  readonly images: string;
  /** Only those that were uploaded and asked for before this; ms. Null: whenever that was. */
  readonly before: number | null;
  readonly erasureId: string | null;
  /** ms */
  readonly now: number;
}

/** Begins to remove those of the images that nothing shows. The first statement returns the names of the blobs to delete. */
export function beginImages(db: D1Database, removal: ImageRemoval): D1PreparedStatement[] {
  const { images, before, erasureId, now } = removal;
  return [
    db
      .prepare(
        `INSERT INTO removals (blob, erasure_id, begun_at)
         SELECT '${IMAGE_PREFIX}' || i.sha256, ?2, ?3 FROM json_each(?1) asked CROSS JOIN images i ON i.sha256 = asked.value
         WHERE i.created_at < ?4 AND i.wanted_at < ?4 AND ${unseen("i.sha256")}
         ${AGAIN} RETURNING blob`,
      )
      .bind(images, erasureId, now, before ?? Number.MAX_SAFE_INTEGER),
    db.prepare(`DELETE FROM images WHERE sha256 IN (SELECT value FROM json_each(?1)) AND ${CONDEMNED}`).bind(images),
  ];
}

/** The statement that begins to remove a blob whose row goes in the same transaction, if `when` is true, whose own parameters begin at ?4; it
 * returns the blob's name. */
export function beginBlob(
  db: D1Database,
  removal: { readonly blob: string; readonly erasureId: string | null; readonly now: number },
  when: string,
  ...params: readonly (string | number)[]
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO removals (blob, erasure_id, begun_at) SELECT ?1, ?2, ?3 WHERE ${when} ${AGAIN} RETURNING blob`,
    )
    .bind(removal.blob, removal.erasureId, removal.now, ...params);
}

/** Removes images that nothing shows and nobody asked for lately. @returns the names of the blobs to delete */
export async function collectImages(
  db: D1Database,
  images: readonly string[],
  before: number,
  audit: Omit<AuditEntry, "details">,
): Promise<string[]> {
  const removal = { images: JSON.stringify(images), before, erasureId: null, now: audit.at };
  const [begin, drop] = beginImages(db, removal) as [D1PreparedStatement, D1PreparedStatement];
  const count = db
    .prepare(
      `INSERT INTO audit_log (at, actor, action, subject, details)
       SELECT ?2, ?3, ?4, ?5, json_object('images', count(*), 'bytes', sum(bytes)) FROM images
       WHERE sha256 IN (SELECT value FROM json_each(?1)) AND ${CONDEMNED} HAVING count(*) > 0`,
    )
    .bind(removal.images, audit.at, audit.actor, audit.action, audit.subject);
  const [begun] = await db.batch<{ blob: string }>([begin, count, drop]);
  return begun?.results.map(({ blob }) => blob) ?? [];
}

/**
 * Begins to remove an image for an erasure, whatever shows it, and its blob even if it has no row. If somebody removes it already,
 * the erasure waits for that.
 * @returns the names of the blobs to delete; none when that was done before
 */
export async function eraseImage(db: D1Database, image: string, erasureId: string, now: number): Promise<string[]> {
  const blob = IMAGE_PREFIX + image;
  const [, begun] = await db.batch<{ blob: string }>([
    db.prepare("UPDATE removals SET erasure_id = ?2 WHERE blob = ?1 AND done = 0").bind(blob, erasureId),
    beginBlob(
      db,
      { blob, erasureId, now },
      `NOT EXISTS (SELECT 1 FROM removals WHERE blob = ?1 AND erasure_id = ?2)
       OR EXISTS (SELECT 1 FROM images WHERE sha256 = ?4)`,
      image,
    ),
    db.prepare(`DELETE FROM images WHERE sha256 = ?1 AND ${CONDEMNED}`).bind(image),
  ]);
  return begun?.results.map((row) => row.blob) ?? [];
}

/** Blobs of these kinds have a row of this name. */
const ROWS = {
  image: `SELECT 1 FROM images WHERE sha256 = substr(asked.value, ${IMAGE_PREFIX.length + 1})`,
  archive: "SELECT 1 FROM archives WHERE blob = asked.value",
} as const;

/** Begins to remove those of the blobs that have no row: their rows were never made. @returns their names */
export async function collectOrphans(
  db: D1Database,
  kind: keyof typeof ROWS,
  blobs: readonly string[],
  audit: Omit<AuditEntry, "details">,
): Promise<string[]> {
  const asked = JSON.stringify(blobs);
  const [begun] = await db.batch<{ blob: string }>([
    db
      .prepare(
        `INSERT INTO removals (blob, erasure_id, begun_at) SELECT asked.value, NULL, ?2 FROM json_each(?1) asked
         WHERE NOT EXISTS (${ROWS[kind]}) ${AGAIN} RETURNING blob`,
      )
      .bind(asked, audit.at),
    db
      .prepare(
        `INSERT INTO audit_log (at, actor, action, subject, details)
         SELECT ?2, ?3, ?4, ?5, json_object('blobs', count(*)) FROM removals
         WHERE blob IN (SELECT value FROM json_each(?1)) AND done = 0 AND begun_at >= ?2 HAVING count(*) > 0`,
      )
      .bind(asked, audit.at, audit.actor, audit.action, audit.subject),
  ]);
  return begun?.results.map(({ blob }) => blob) ?? [];
}

/** The newest removal of an image; of one that is done long ago, nothing is known. */
export async function imageRemoval(db: D1Database, sha256: string) {
  return db
    .prepare("SELECT begun_at AS begunAt, done FROM removals WHERE blob = ?1")
    .bind(IMAGE_PREFIX + sha256)
    .first<{ begunAt: number; done: 0 | 1 }>();
}

/** Notes that the blobs are deleted. */
export async function endRemovals(db: D1Database, blobs: readonly string[]): Promise<void> {
  await db
    .prepare("UPDATE removals SET done = 1 WHERE blob IN (SELECT value FROM json_each(?1))")
    .bind(JSON.stringify(blobs))
    .run();
}

/** Takes over removals that were begun before `before` (ms) and that nobody works on any more. */
export async function takeOverRemovals(db: D1Database, before: number, limit: number, now: number): Promise<string[]> {
  const taken = await db
    .prepare(
      `UPDATE removals SET begun_at = ?3 WHERE blob IN (
         SELECT blob FROM removals WHERE done = 0 AND begun_at < ?1 ORDER BY begun_at LIMIT ?2) RETURNING blob`,
    )
    .bind(before, limit, now)
    .all<{ blob: string }>();
  return taken.results.map(({ blob }) => blob);
}

/** Forgets removals that were begun before `before` (ms), are done, and belong to no erasure that still counts them. */
export async function forgetRemovals(db: D1Database, before: number, limit: number): Promise<void> {
  await db
    .prepare(
      `DELETE FROM removals WHERE blob IN (
         SELECT blob FROM removals r WHERE done = 1 AND begun_at < ?1
           AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.id = r.erasure_id AND e.state = 'running') LIMIT ?2)`,
    )
    .bind(before, limit)
    .run();
}

/** A window of images by hash, behind `after`: its last one, how many there are, and those that nothing seems to show. */
export async function idleImages(db: D1Database, after: string, limit: number, before: number) {
  const row = await db
    .prepare(
      `SELECT max(sha256) AS last, count(*) AS images,
              json_group_array(sha256) FILTER (WHERE created_at < ?3 AND wanted_at < ?3
                AND NOT EXISTS (SELECT 1 FROM image_refs WHERE image = sha256)) AS idle
       FROM (SELECT sha256, created_at, wanted_at FROM images WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2)`,
    )
    .bind(after, limit, before)
    .first<{ last: string | null; images: number; idle: string }>();
  return { last: row?.last ?? "", images: row?.images ?? 0, idle: JSON.parse(row?.idle ?? "[]") as string[] };
}
