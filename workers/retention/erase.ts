import type { Env } from "../env.ts";
import { lookAtQueue } from "../ingest/overflow.ts";
import { type Archive, nextArchive, someArchiveOf } from "../store/archives.ts";
import {
  type ArchiveChange,
  type Erasure,
  eraseEvents,
  eventsOf,
  findErasure,
  finishErasure,
  passArchive,
  runningErasures,
  sourcesOf,
} from "../store/erasures.ts";
import { eventsShowing, imagesShownBy, notedFor } from "../store/image-refs.ts";
import { eraseImage } from "../store/removals.ts";
import { deleteBlobs } from "./blobs.ts";
import { RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";
import { readLines, writeLines } from "./lines.ts";

type EraseEnv = Pick<Env, "DB" | "BLOBS">;

/** Erasures that one step looks at; those behind them wait for the next. */
const ERASURES_PER_STEP = 20;

interface Work {
  readonly env: EraseEnv;
  readonly erasure: Erasure;
  readonly now: number;
  readonly limits: RetentionLimits;
}

/**
 * Works on the running erasures, the oldest first; a later one begins when the earlier ones are done or only wait for somebody
 * else. Every round is one transaction, so it may be cut off anywhere and goes on from there.
 * @returns how many erasures were done
 */
export async function eraseStep(
  env: EraseEnv,
  nowMs: number,
  deadline: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<number> {
  let [done, rounds] = [0, 0];
  for (const { id } of await runningErasures(env.DB, ERASURES_PER_STEP)) {
    for (let more = true; more; ) {
      if (rounds++ >= limits.eraseRounds || Date.now() >= deadline) return done;
      const erasure = await findErasure(env.DB, id);
      if (!erasure) throw new Error("an erasure is gone");
      const work: Work = { env, erasure, now: nowMs, limits };
      more = erasure.kind === "client" ? await eraseSomeOfClient(work) : await eraseSomeOfImage(work);
      if (!more && (await nothingWaits(work)) && (await finishErasure(env.DB, erasure, nowMs))) done += 1;
    }
  }
  return done;
}

/** @returns false when nothing was left */
async function eraseSomeOfClient(work: Work): Promise<boolean> {
  const { env, erasure, limits } = work;
  const events = await eventsOf(env.DB, erasure.subject, limits.eraseEvents);
  if (events.length > 0) return erase(work, events);
  const archive = await someArchiveOf(env.DB, erasure.subject);
  if (archive) {
    const ids = (await readLines(env, archive.blob)).map(({ id }) => id);
    return erase(work, ids, { blob: archive.blob, next: null, lines: archive.events });
  }
  const sources = await sourcesOf(env.DB, erasure.subject, limits.eraseEvents);
  return sources.length > 0 && erase(work, sources);
}

/** Events in the database first, then archived ones, then sources without an event, the image at last. */
async function eraseSomeOfImage(work: Work): Promise<boolean> {
  const { env, erasure, now, limits } = work;
  const events = await eventsShowing(env.DB, erasure.subject, limits.eraseEvents);
  if (events.length > 0) return erase(work, events);
  const noted = await notedFor(env.DB, erasure.subject, limits.eraseEvents);
  if (noted.length > 0) {
    const archive = await nextArchive(env.DB, erasure.position);
    return archive ? eraseFromArchive(work, archive) : erase(work, noted);
  }
  const blobs = await eraseImage(env.DB, erasure.subject, erasure.id, now);
  await deleteBlobs(env, blobs);
  return blobs.length > 0;
}

/** Writes the archive anew without the lines that show the image. */
async function eraseFromArchive(work: Work, archive: Archive): Promise<true> {
  const { env, erasure } = work;
  const lines = await readLines(env, archive.blob);
  const showing = new Set(lines.filter(({ images }) => (JSON.parse(images) as string[]).includes(erasure.subject)));
  if (showing.size === 0) {
    await passArchive(env.DB, erasure.id, archive.blob);
    return true;
  }
  const rest = lines.filter((line) => !showing.has(line));
  const next = rest.length > 0 ? await writeLines(env, rest) : null;
  const ids = [...showing].map(({ id }) => id);
  return erase(work, ids, { blob: archive.blob, next, lines: ids.length });
}

/** Images that only an erased client showed go with its events; those of an erased image's events get their time like all others. */
async function erase({ env, erasure, now }: Work, ids: readonly string[], archive?: ArchiveChange): Promise<true> {
  const images = erasure.kind === "client" ? await imagesShownBy(env.DB, ids) : [];
  await deleteBlobs(env, await eraseEvents(env.DB, { erasureId: erasure.id, ids, images, now }, archive));
  return true;
}

/** Whether every event that came before the request is in the database by now, where the erasure finds it. */
async function nothingWaits({ env, erasure }: Work): Promise<boolean> {
  const { oldestMs } = await lookAtQueue(env);
  return oldestMs === null || oldestMs > erasure.requestedAt;
}
