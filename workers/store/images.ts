import { eq } from "drizzle-orm";
import { reads, retryWrite } from "./db.ts";
import { IMAGE_PREFIX } from "./removals.ts";
import { images } from "./schema.ts";

/** Wanted again within this time, an image is not written again. */
const WANTED_STEP_MS = 3_600_000;

export type ImageRow = typeof images.$inferSelect;

export async function findImage(db: D1Database, sha256: string): Promise<ImageRow | undefined> {
  return reads(db).select().from(images).where(eq(images.sha256, sha256)).get();
}

/**
 * Notes that the image's bytes are stored. That is refused if a removal of them is under way, or if one was begun that the upload
 * did not see when it began.
 * @param removal when the newest removal that it saw was begun; ms, null for none
 */
export async function insertImage(
  db: D1Database,
  image: Omit<ImageRow, "wantedAt">,
  removal: number | null,
): Promise<"created" | "known" | "refused"> {
  const { sha256, mediaType, bytes, width, height, createdAt } = image;
  const [inserted, found] = await retryWrite(() =>
    db.batch([
      db
        .prepare(
          `INSERT INTO images (sha256, media_type, bytes, width, height, created_at)
           SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (
             SELECT 1 FROM removals WHERE blob = ?8 AND (done = 0 OR begun_at IS NOT ?7))
           ON CONFLICT DO NOTHING`,
        )
        .bind(sha256, mediaType, bytes, width, height, createdAt, removal, IMAGE_PREFIX + sha256),
      db.prepare("SELECT 1 FROM images WHERE sha256 = ?1").bind(sha256),
    ]),
  );
  if (inserted?.meta.changes === 1) return "created";
  return found?.results.length === 1 ? "known" : "refused";
}

/** Those of the hashes that have no image, in the given order. That the others are wanted is noted with the same breath. */
export async function missingImages(db: D1Database, hashes: readonly string[], nowMs: number): Promise<string[]> {
  const asked = JSON.stringify(hashes);
  const [, missing] = await retryWrite(() =>
    db.batch<{ sha256: string }>([
      db
        .prepare(
          `UPDATE images SET wanted_at = ?2
           WHERE sha256 IN (SELECT value FROM json_each(?1)) AND wanted_at < ?2 - ?3`,
        )
        .bind(asked, nowMs, WANTED_STEP_MS),
      db
        .prepare(
          `SELECT value AS sha256 FROM json_each(?1) asked
           WHERE NOT EXISTS (SELECT 1 FROM images WHERE images.sha256 = asked.value) ORDER BY asked.key`,
        )
        .bind(asked),
    ]),
  );
  return (missing?.results ?? []).map((row) => row.sha256);
}

/** Those of the images that are stored, with the size of their bytes. */
export async function imageSizes(
  db: D1Database,
  hashes: readonly string[],
): Promise<Pick<ImageRow, "sha256" | "mediaType" | "bytes">[]> {
  const { results } = await db
    .prepare(
      `SELECT sha256, media_type AS mediaType, bytes FROM images WHERE sha256 IN (SELECT value FROM json_each(?1))`,
    )
    .bind(JSON.stringify(hashes))
    .all<Pick<ImageRow, "sha256" | "mediaType" | "bytes">>();
  return results;
}
