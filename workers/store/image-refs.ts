import { cursorStatement } from "./cursors.ts";

/** The events up to this cursor stand in `image_refs`; those behind it are looked through one by one. */
export const IMAGE_REFS = "image_refs";

const INDEXED_TO = `coalesce((SELECT position FROM cursors WHERE name = '${IMAGE_REFS}'), '')`;

/** The statement that notes the images of the failures that `where` selects; it takes ?1 and ?2. */
export function noteImages(db: D1Database, where: string, params: readonly [string, string]): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO image_refs (image, failure_id)
       SELECT shown.value, f.id FROM failures f, json_each(f.images) shown WHERE ${where} ON CONFLICT DO NOTHING`,
    )
    .bind(...params);
}

export interface EventWindow {
  /** The id of its last event, null of an empty one. */
  readonly last: string | null;
  readonly events: number;
}

/** The next events by id: behind `after`, before `until`. */
export async function nextEvents(db: D1Database, after: string, until: string, limit: number): Promise<EventWindow> {
  const found = await db
    .prepare(
      `SELECT max(id) AS last, count(*) AS events
       FROM (SELECT id FROM failures WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3)`,
    )
    .bind(after, until, limit)
    .first<EventWindow>();
  return found ?? { last: null, events: 0 };
}

/** Notes the images of the events behind `after` up to `last`, and moves the cursor there, in one transaction. Safe to repeat. */
export async function indexEvents(db: D1Database, after: string, last: string, nowMs: number): Promise<void> {
  await db.batch([
    noteImages(db, "f.id > ?1 AND f.id <= ?2", [after, last]),
    cursorStatement(db, IMAGE_REFS, last, nowMs),
  ]);
}

/**
 * SQL that is true when no event and no source shows the image in this column. Sources show what their events show. It looks
 * through all events that are not indexed yet.
 */
export function unseen(image: string): string {
  return `NOT EXISTS (SELECT 1 FROM image_refs seen WHERE seen.image = ${image}) AND ${image} NOT IN (
    SELECT shown.value FROM failures newer, json_each(newer.images) shown WHERE newer.id > ${INDEXED_TO})`;
}

/** Every image that these events or sources show. */
export async function imagesShownBy(db: D1Database, ids: readonly string[]): Promise<string[]> {
  const found = await db
    .prepare(
      `SELECT r.image FROM json_each(?1) asked CROSS JOIN image_refs r ON r.failure_id = asked.value
       UNION
       SELECT shown.value FROM json_each(?1) asked CROSS JOIN failures f ON f.id = asked.value, json_each(f.images) shown`,
    )
    .bind(JSON.stringify(ids))
    .all<{ image: string }>();
  return found.results.map(({ image }) => image);
}

/** Some events in the database that show the image. */
export async function eventsShowing(db: D1Database, image: string, limit: number): Promise<string[]> {
  const found = await db
    .prepare(
      `SELECT r.failure_id AS id FROM image_refs r
       WHERE r.image = ?1 AND EXISTS (SELECT 1 FROM failures f WHERE f.id = r.failure_id)
       UNION
       SELECT f.id FROM failures f, json_each(f.images) shown WHERE f.id > ${INDEXED_TO} AND shown.value = ?1
       LIMIT ?2`,
    )
    .bind(image, limit)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

/** Some of what is noted to show the image. */
export async function notedFor(db: D1Database, image: string, limit: number): Promise<string[]> {
  const found = await db
    .prepare("SELECT failure_id AS id FROM image_refs WHERE image = ?1 LIMIT ?2")
    .bind(image, limit)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

/** Whether the image was ever uploaded, or is shown by anything that is kept. */
export async function isImageKnown(db: D1Database, image: string): Promise<boolean> {
  const row = await db
    .prepare(`SELECT EXISTS (SELECT 1 FROM images WHERE sha256 = ?1) OR NOT (${unseen("?1")}) AS known`)
    .bind(image)
    .first<{ known: number }>();
  return row?.known === 1;
}
