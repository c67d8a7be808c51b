import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { type RetentionPolicy, retentionPolicy } from "../../shared/contracts/policy.ts";
import { DAY_MS } from "../../shared/time.ts";
import { RETENTION_LIMITS, type RetentionLimits } from "../../workers/retention/limits.ts";
import { ARCHIVE_PREFIX, readLines } from "../../workers/retention/lines.ts";
import { retentionStep } from "../../workers/retention/step.ts";
import type { EventLine } from "../../workers/store/archives.ts";
import { emptyLoop, rows } from "./fixtures.ts";
import { call, makePng, postEvents, prompt, sha256Of, type TestKey, testEvent } from "./support.ts";
import { watchedDatabase } from "./watched.ts";

/** What retention has to do with, as tests see it. */

/** A policy that removes nothing by itself, but for what the test says. */
export function keeping(policy: Partial<RetentionPolicy> = {}): RetentionPolicy {
  const long = 36_500;
  return retentionPolicy.parse({ archiveAfterDays: long, deleteAfterDays: long, imageGraceDays: long, ...policy });
}

/** Limits so small that every job takes many steps. */
export const TINY: RetentionLimits = {
  ...RETENTION_LIMITS,
  refsEvents: 2,
  refsWindows: 2,
  archiveWindow: 4,
  archiveObjects: 2,
  archiveEvents: 3,
  expireArchives: 1,
  collectWindow: 3,
  collectImages: 2,
  sweepBlobs: 2,
  eraseEvents: 2,
  eraseRounds: 2,
};

/** Steps at `now` until one does nothing. */
export async function settle(now: number, policy: RetentionPolicy, limits: RetentionLimits = RETENTION_LIMITS) {
  // With tiny limits the ways through images and blobs take several steps.
  const atRest = limits.sweepBlobs === RETENTION_LIMITS.sweepBlobs ? 2 : 6;
  for (let step = 0, idle = 0; idle < atRest; step++) {
    if (step === 500) throw new Error("retention does not come to rest");
    const done = await retentionStep(env, now, policy, limits);
    idle = Object.values(done).every((count) => count === 0) ? idle + 1 : 0;
  }
}

export async function emptyAll(): Promise<void> {
  const tables = ["removals", "erasures", "archives", "image_refs", "cursors"];
  await env.DB.batch(tables.map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
  await emptyLoop();
  await env.DB.prepare("DELETE FROM image_refs").run();
  for (const key of await blobs("")) await env.BLOBS.delete(key);
}

export async function blobs(prefix: string): Promise<string[]> {
  return (await env.BLOBS.list({ prefix })).objects.map(({ key }) => key);
}

/** Uploads one image per shade; the same shade is the same image. */
export async function uploadImages(key: string, ...shades: number[]): Promise<string[]> {
  const hashes: string[] = [];
  for (const shade of shades) {
    const bytes = await makePng({ width: 2, height: 2 }, shade);
    hashes.push(await sha256Of(bytes));
    await expectUpload(key, shade);
  }
  return hashes;
}

export async function expectUpload(key: string, shade: number): Promise<void> {
  const bytes = await makePng({ width: 2, height: 2 }, shade);
  const response = await call("PUT", `/v1/images/${await sha256Of(bytes)}`, { key, body: bytes });
  expect(response.status, await response.text()).toBeLessThan(300);
}

/** Posts events `name-0` .., the i-th with the i-th list of images. */
export async function postShowing(
  client: TestKey,
  name: string,
  images: readonly (readonly string[])[],
  fields: Record<string, unknown> = {},
): Promise<void> {
  const events = images.map((shown, index) =>
    testEvent(`${name}-${index}`, {
      conversation: prompt(`How many dogs are in ${name} ${index}?`, ...shown),
      ...fields,
    }),
  );
  const results = await postEvents(client.key, events);
  expect(results.map(({ status }) => status)).toEqual(events.map(() => "stored"));
}

/** The ids of a client's events in the database, in the order of their names. */
export async function idsOf(client: TestKey): Promise<string[]> {
  const found = await rows<{ id: string }>(
    "SELECT id FROM failures WHERE client_id = ?1 ORDER BY event_id",
    client.clientId,
  );
  return found.map(({ id }) => id);
}

/** Every archived line that a row of `archives` leads to. */
export async function archivedLines(clientId?: string): Promise<EventLine[]> {
  const found = await rows<{ blob: string; client_id: string }>("SELECT blob, client_id FROM archives ORDER BY blob");
  const lines: EventLine[] = [];
  for (const { blob, client_id } of found) {
    if (clientId === undefined || client_id === clientId) lines.push(...(await readLines(env, blob)));
  }
  return lines;
}

/** What must be true after every step, and after every crash: no image's row without its blob, no archive's either. */
export async function expectNoRowWithoutBlob(): Promise<void> {
  const stored = new Set(await blobs(""));
  const images = await rows<{ sha256: string }>("SELECT sha256 FROM images");
  const archives = await rows<{ blob: string }>("SELECT blob FROM archives");
  for (const { sha256 } of images) expect(stored, "an image").toContain(`images/${sha256}`);
  for (const { blob } of archives) expect(stored, "an archive").toContain(blob);
}

export async function archiveBlobs(): Promise<string[]> {
  return blobs(ARCHIVE_PREFIX);
}

export interface Audit {
  action: string;
  subject: string;
  details: Record<string, unknown>;
}

export async function audits(action: string): Promise<Audit[]> {
  const found = await rows<Audit & { details: string }>(
    "SELECT * FROM audit_log WHERE action = ?1 ORDER BY id",
    action,
  );
  return found.map((entry) => ({ ...entry, details: JSON.parse(entry.details) }));
}

class CutOff extends Error {}

/** Waits for work that may be cut off, and for nothing else to go wrong. */
export async function survives(work: Promise<unknown>): Promise<void> {
  await work.catch((error) => {
    if (!(error instanceof CutOff)) throw error;
  });
}

/**
 * Database and blob store that are lost at the n-th operation, before it is done or right after. `reached` tells whether it came
 * to that.
 */
export function cutOff(at: number, when: "before" | "after") {
  const state = { operations: 0, reached: false };
  const operation = async <T>(run: () => Promise<T>): Promise<T> => {
    if (state.reached) throw new CutOff("it is gone");
    const last = ++state.operations === at;
    if (last && when === "before") state.reached = true;
    if (state.reached) throw new CutOff("it is gone");
    const result = await run();
    if (last) state.reached = true;
    if (state.reached) throw new CutOff("it is gone");
    return result;
  };
  const DB = watchedDatabase(operation);
  const BLOBS = new Proxy(env.BLOBS, {
    get(store, name) {
      const value = Reflect.get(store, name);
      return typeof value === "function" ? (...args: unknown[]) => operation(() => value.apply(store, args)) : value;
    },
  });
  return { DB, BLOBS, state };
}

/** Every image with the events or sources noted to show it. */
export async function notedImages(): Promise<string[]> {
  const found = await rows<{ image: string; failure_id: string }>(
    "SELECT * FROM image_refs ORDER BY image, failure_id",
  );
  return found.map(({ image, failure_id }) => `${image} ${failure_id}`);
}

/** This many days from now; ms. */
export const later = (days: number) => Date.now() + days * DAY_MS;

/** Hashes of the images that have a row, in order. */
export async function imagesStored(): Promise<string[]> {
  return (await rows<{ sha256: string }>("SELECT sha256 FROM images ORDER BY 1")).map((row) => row.sha256);
}
