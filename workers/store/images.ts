import { eq } from "drizzle-orm";
import { reads, retryWrite } from "./db.ts";
import { images } from "./schema.ts";

export type ImageRow = typeof images.$inferSelect;

export async function findImage(db: D1Database, sha256: string): Promise<ImageRow | undefined> {
  return reads(db).select().from(images).where(eq(images.sha256, sha256)).get();
}

/** @returns false when the image was known already */
export async function insertImage(db: D1Database, image: ImageRow): Promise<boolean> {
  const { meta } = await retryWrite(() =>
    db
      .prepare(
        `INSERT INTO images (sha256, media_type, bytes, width, height, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING`,
      )
      .bind(image.sha256, image.mediaType, image.bytes, image.width, image.height, image.createdAt)
      .run(),
  );
  return meta.changes > 0;
}

/** Those of the hashes that have no image, in the given order. */
export async function missingImages(db: D1Database, hashes: readonly string[]): Promise<string[]> {
  const { results } = await db
    .prepare(
      `SELECT value AS sha256 FROM json_each(?1) asked
       WHERE NOT EXISTS (SELECT 1 FROM images WHERE images.sha256 = asked.value) ORDER BY asked.key`,
    )
    .bind(JSON.stringify(hashes))
    .all<{ sha256: string }>();
  return results.map((row) => row.sha256);
}
