import type { Env } from "../env.ts";
import { type Ageing, ageing, moveToArchive, readEvents } from "../store/archives.ts";
import { readCursor, setCursor } from "../store/cursors.ts";
import { leastIdAt } from "../store/failures.ts";
import { RETENTION_ACTOR, RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";
import { writeLines } from "./lines.ts";

/** The archive's way through the events whose ids tell no time. */
const CURSOR = "archive";
/** Ids that tell their time begin here. */
const ORDERED = "t";

interface Run {
  readonly env: Pick<Env, "DB" | "BLOBS">;
  readonly now: number;
  /** Events that came before go; ms. */
  readonly cutoff: number;
  readonly deadline: number;
  readonly limits: RetentionLimits;
  objects: number;
  events: number;
}

/**
 * Moves events that came before `cutoff` from the database to the archive.
 * @returns how many
 */
export async function archiveEvents(
  env: Pick<Env, "DB" | "BLOBS">,
  nowMs: number,
  cutoff: number,
  deadline: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<number> {
  const run: Run = { env, now: nowMs, cutoff, deadline, limits, objects: 0, events: 0 };
  await archiveUnordered(run);
  await archiveOrdered(run);
  return run.events;
}

/** The oldest come first: what is not moved now stands in front the next time. */
async function archiveOrdered(run: Run): Promise<void> {
  let after = ORDERED;
  while (hasRoom(run)) {
    const window = await ageing(run.env.DB, after, leastIdAt(run.cutoff), run.limits.archiveWindow);
    await archiveOld(run, window);
    if (window.length < run.limits.archiveWindow) return;
    after = window.at(-1)?.id ?? after;
  }
}

/** One window of the older ids, which are in no order: the whole range is gone through again and again. */
async function archiveUnordered(run: Run): Promise<void> {
  const { env, limits } = run;
  const window = await ageing(env.DB, await readCursor(env.DB, CURSOR), ORDERED, limits.archiveWindow);
  const whole = await archiveOld(run, window);
  if (!whole) return;
  const next = window.length < limits.archiveWindow ? "" : (window.at(-1)?.id ?? "");
  await setCursor(env.DB, CURSOR, next, run.now);
}

/** @returns whether there was room for all that are old */
async function archiveOld(run: Run, window: readonly Ageing[]): Promise<boolean> {
  const old = window.filter(({ receivedAt }) => receivedAt < run.cutoff);
  for (const events of Map.groupBy(old, ({ clientId }) => clientId).values()) {
    for (const ids of portions(events, run.limits)) {
      if (!hasRoom(run)) return false;
      run.objects += 1;
      run.events += await archiveObject(run, ids);
    }
  }
  return true;
}

function hasRoom({ objects, limits, deadline }: Run): boolean {
  return objects < limits.archiveObjects && Date.now() < deadline;
}

/** Events for one object each; one that is too large goes alone. */
function portions(events: readonly Ageing[], limits: RetentionLimits): string[][] {
  const all: string[][] = [];
  let room = 0;
  for (const { id, bytes } of events) {
    const last = all.at(-1);
    if (last && last.length < limits.archiveEvents && bytes <= room) last.push(id);
    else {
      all.push([id]);
      room = limits.archiveBytes;
    }
    room -= bytes;
  }
  return all;
}

/** The blob first, then rows and events in one transaction: a crash in between leaves a blob that the sweep finds. */
async function archiveObject({ env, now }: Run, ids: readonly string[]): Promise<number> {
  const events = await readEvents(env.DB, ids);
  if (events.length === 0) return 0;
  const archive = await writeLines(
    env,
    events.map(({ line }) => line),
  );
  const details = { client: archive.clientId, events: archive.events, bytes: archive.bytes };
  const audit = { actor: RETENTION_ACTOR, action: "retention.archive", subject: archive.blob, details, at: now };
  if (await moveToArchive(env.DB, archive, events, audit)) return events.length;
  await env.BLOBS.delete(archive.blob);
  return 0;
}
