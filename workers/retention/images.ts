import type { Env } from "../env.ts";
import { readCursor, setCursor } from "../store/cursors.ts";
import { collectImages, collectOrphans, IMAGE_PREFIX, idleImages } from "../store/removals.ts";
import { deleteBlobs } from "./blobs.ts";
import { ORPHAN_AGE_MS, RETENTION_ACTOR, RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";
import { ARCHIVE_PREFIX } from "./lines.ts";

/** The way through all images by hash, from the beginning again when it ends. */
const CURSOR = "images";

/**
 * Removes images that no event and no source shows, of one window of the images, if they were uploaded and last asked for before
 * `cutoff` (ms). The events must be indexed, as far as they can be, or the last check has many to look through.
 * @returns how many images
 */
export async function collectIdleImages(
  env: Pick<Env, "DB" | "BLOBS">,
  nowMs: number,
  cutoff: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<number> {
  const after = await readCursor(env.DB, CURSOR);
  const window = await idleImages(env.DB, after, limits.collectWindow, cutoff);
  const audit = { actor: RETENTION_ACTOR, action: "images.collect", subject: "images", at: nowMs };
  let collected = 0;
  for (let at = 0; at < window.idle.length; at += limits.collectImages) {
    const blobs = await collectImages(env.DB, window.idle.slice(at, at + limits.collectImages), cutoff, audit);
    await deleteBlobs(env, blobs);
    collected += blobs.length;
  }
  await setCursor(env.DB, CURSOR, window.images < limits.collectWindow ? "" : window.last, nowMs);
  return collected;
}

/**
 * Deletes blobs that never got their row, because whoever wrote them was cut off: one page of the images and one of the
 * archives.
 * @returns how many blobs
 */
export async function sweepOrphans(
  env: Pick<Env, "DB" | "BLOBS">,
  nowMs: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<number> {
  return (
    (await sweepKind(env, "image", IMAGE_PREFIX, nowMs, limits)) +
    (await sweepKind(env, "archive", ARCHIVE_PREFIX, nowMs, limits))
  );
}

async function sweepKind(
  env: Pick<Env, "DB" | "BLOBS">,
  kind: "image" | "archive",
  prefix: string,
  nowMs: number,
  limits: RetentionLimits,
): Promise<number> {
  const cursor = `sweep.${kind}`;
  const after = await readCursor(env.DB, cursor);
  const page = await env.BLOBS.list({ prefix, limit: limits.sweepBlobs, ...(after && { startAfter: after }) });
  const old = page.objects.filter(({ uploaded }) => uploaded.getTime() < nowMs - ORPHAN_AGE_MS).map(({ key }) => key);
  const audit = { actor: RETENTION_ACTOR, action: "blobs.sweep", subject: prefix, at: nowMs };
  const orphans = old.length > 0 ? await collectOrphans(env.DB, kind, old, audit) : [];
  await deleteBlobs(env, orphans);
  await setCursor(env.DB, cursor, page.truncated ? (page.objects.at(-1)?.key ?? "") : "", nowMs);
  return orphans.length;
}
