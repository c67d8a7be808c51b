import { env } from "cloudflare:workers";
import { splitOfImage, splitOfImages } from "../../shared/taxonomy/split.ts";
import { type ErrorType, regionKey, type Task } from "../../shared/taxonomy/taxonomy.ts";
import type { EditMessage } from "../../workers/env.ts";
import { currentPolicy } from "../../workers/store/policy.ts";
import { prompt } from "./support.ts";
import { watchedDatabase } from "./watched.ts";

/** Rows as the other rooms would have made them, so that a test of one room needs no other. */

/** An image hash on the wanted side; the same number is the same image. */
export function imageOf(number: number, side: "train" | "gate" = "train"): string {
  for (let salt = 0; ; salt++) {
    const head = ((number * 2_654_435_761 + salt * 40_503) >>> 0).toString(16).padStart(8, "0");
    const hash = head + number.toString(16).padStart(56, "0");
    if (splitOfImage(hash) === side) return hash;
  }
}

export async function storeImages(hashes: readonly string[]): Promise<void> {
  await env.DB.prepare(
    `INSERT INTO images (sha256, media_type, bytes, width, height, created_at)
     SELECT value, 'image/png', 1, 1, 1, 0 FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`,
  )
    .bind(JSON.stringify(hashes))
    .run();
}

export interface SourceFixture {
  id: string;
  images?: string[];
  /** False leaves the images out of the store. */
  uploaded?: boolean;
  task?: Task;
  errorType?: ErrorType;
  question?: string;
  answer?: string;
  ownAnswer?: string | null;
  polarity?: "yes" | "no" | null;
  jobs?: number;
  createdAt?: number;
}

/** Stores sources with their images, their regions, and the regions' levels and difficulties. */
export async function storeSources(sources: readonly SourceFixture[]): Promise<void> {
  const full = sources.map((source) => {
    const { task = "counting", errorType = "count-near", images = [imageOf(1)] } = source;
    const conversation = prompt(source.question ?? "How many dogs are there?", ...images);
    return {
      answer: "There are two dogs.",
      createdAt: 1_000,
      jobs: 0,
      ...source,
      task,
      errorType,
      images,
      conversation,
    };
  });
  await storeImages(full.flatMap(({ images, uploaded = true }) => (uploaded ? images : [])));
  await storeRegions(full);
  const withSplit = full.map((source) => ({ ...source, split: splitOfImages(source.images) }));
  await env.DB.prepare(
    `INSERT INTO sources (id, images, split, conversation, answer, own_answer, task, error_type, language, modality, polarity,
                          jobs, created_at)
     SELECT value ->> 'id', value -> 'images', value ->> 'split', value -> 'conversation', value ->> 'answer',
            value ->> 'ownAnswer', value ->> 'task', value ->> 'errorType', 'en', 'image', value ->> 'polarity',
            value ->> 'jobs', value ->> 'createdAt'
     FROM json_each(?1)`,
  )
    .bind(JSON.stringify(withSplit))
    .run();
}

export async function storeSource(source: SourceFixture): Promise<void> {
  await storeSources([source]);
}

async function storeRegions(of: readonly { task: Task; errorType: ErrorType }[]): Promise<void> {
  const seen = new Map(of.map((one) => [`${one.task}/${one.errorType}`, one]));
  for (const { task, errorType } of seen.values()) await storeRegion(task, errorType);
}

export async function storeRegion(task: Task, errorType: ErrorType, newFailures = 0): Promise<string> {
  const key = regionKey({ task, errorType, language: "en", modality: "image" });
  await env.DB.batch([
    env.DB.prepare(
      `INSERT INTO regions (key, task, error_type, language, modality, created_at, new_failures, new_exposures)
       VALUES (?1, ?2, ?3, 'en', 'image', 0, ?4, ?4 * 2)
       ON CONFLICT DO UPDATE SET new_failures = new_failures + ?4, new_exposures = new_exposures + ?4 * 2`,
    ).bind(key, task, errorType, newFailures),
    env.DB.prepare(
      `INSERT INTO region_levels (region, level) SELECT ?1, value FROM json_each('[1,2,3,4]') WHERE true ON CONFLICT DO NOTHING`,
    ).bind(key),
    env.DB.prepare(
      `INSERT INTO difficulties (error_type, level, difficulty)
       SELECT ?1, key + 1, value FROM json_each('[-1.5,-0.5,0.5,1.5]') WHERE true ON CONFLICT DO NOTHING`,
    ).bind(errorType),
  ]);
  return key;
}

export interface PairFixture {
  source: string;
  level?: number;
  errorType?: ErrorType;
  task?: Task;
  rejected?: string;
  createdAt?: number;
  trainings?: number;
  state?: "ready" | "trained";
}

/** The id that the fixture's pair has: its job's. */
function pairId(pair: Pick<PairFixture, "source" | "level" | "errorType">): string {
  return `${pair.source}-${pair.errorType ?? "count-near"}-${pair.level ?? 3}`;
}

/** Stores pairs with their finished jobs. */
export async function storePairs(pairs: readonly PairFixture[]): Promise<string[]> {
  const full = pairs.map((pair) => {
    const { task = "counting", errorType = "count-near" } = pair;
    const [id, region] = [pairId(pair), regionKey({ task, errorType, language: "en", modality: "image" })];
    const defaults = { level: 3, rejected: `wrong ${id}`, createdAt: 1_000, trainings: 0, state: "ready" };
    return { ...defaults, ...pair, id, region, task, errorType };
  });
  await storeRegions(full);
  await storeTick();
  const json = JSON.stringify(full);
  await env.DB.batch([
    env.DB.prepare(
      `INSERT INTO edit_jobs (id, tick_id, source_id, region, error_type, level, state, editor, created_at, finished_at)
       SELECT value ->> 'id', 1, value ->> 'source', value ->> 'region', value ->> 'errorType', value ->> 'level',
              'accepted', 'builtin', 0, 0 FROM json_each(?1)`,
    ).bind(json),
    env.DB.prepare(
      `INSERT INTO pairs (id, job_id, source_id, region, error_type, level, rejected, polarity, origin, state, state_at,
                          created_at)
       SELECT p.value ->> 'id', p.value ->> 'id', s.id, p.value ->> 'region', p.value ->> 'errorType',
              p.value ->> 'level', p.value ->> 'rejected', s.polarity, 'builtin', 'ready', p.value ->> 'createdAt',
              p.value ->> 'createdAt'
       FROM json_each(?1) p JOIN sources s ON s.id = p.value ->> 'source'`,
    ).bind(json),
    env.DB.prepare(
      `UPDATE pairs SET state = p.value ->> 'state', trainings = p.value ->> 'trainings'
       FROM json_each(?1) p WHERE pairs.id = p.value ->> 'id' AND (p.value ->> 'state' <> 'ready' OR p.value ->> 'trainings' > 0)`,
    ).bind(json),
  ]);
  return full.map(({ id }) => id);
}

export async function storePair(pair: PairFixture): Promise<string> {
  const [id = ""] = await storePairs([pair]);
  return id;
}

/** An edit that is ordered and not done. */
export interface JobFixture {
  source: string;
  level?: number;
  errorType?: ErrorType;
  task?: Task;
  createdAt?: number;
}

/** Stores queued jobs of tick 1. */
export async function storeJobs(jobs: readonly JobFixture[]): Promise<string[]> {
  const full = jobs.map((job) => {
    const { task = "counting", errorType = "count-near" } = job;
    const region = regionKey({ task, errorType, language: "en", modality: "image" });
    return { level: 3, createdAt: 1_000, ...job, id: pairId(job), region, task, errorType };
  });
  await storeRegions(full);
  await storeTick();
  await env.DB.batch([
    env.DB.prepare(
      `INSERT INTO edit_jobs (id, tick_id, source_id, region, error_type, level, state, created_at)
       SELECT value ->> 'id', 1, value ->> 'source', value ->> 'region', value ->> 'errorType', value ->> 'level', 'queued',
              value ->> 'createdAt' FROM json_each(?1)`,
    ).bind(JSON.stringify(full)),
    env.DB.prepare("UPDATE ticks SET jobs = (SELECT count(*) FROM edit_jobs WHERE tick_id = 1) WHERE id = 1"),
  ]);
  return full.map(({ id }) => id);
}

/** The tick that fixtures' jobs belong to. */
async function storeTick(): Promise<void> {
  const { version } = await currentPolicy(env.DB);
  await env.DB.prepare(
    `INSERT INTO ticks (id, slot, at, policy_version, seed, inputs, inputs_sha256, plan, plan_sha256, jobs)
     VALUES (1, 'fixture', 0, ?1, 0, '{}', '', '{"lines":[],"planned":0,"budget":0}', '', 0) ON CONFLICT DO NOTHING`,
  )
    .bind(version)
    .run();
}

/** Changes parts of the policy, as an operator would. */
export async function setPolicy(change: Record<string, Record<string, unknown>>): Promise<void> {
  const { version, document } = await currentPolicy(env.DB);
  const next = Object.fromEntries(
    Object.entries(document).map(([section, values]) => [section, { ...values, ...change[section] }]),
  );
  await env.DB.prepare(
    "INSERT INTO policies (version, document, created_at, author, reason) VALUES (?1, ?2, 0, 'test', 'test')",
  )
    .bind(version + 1, JSON.stringify(next))
    .run();
}

/** A queue that remembers what was sent and delivers nothing. */
export class RecordingQueue {
  readonly sent: EditMessage[] = [];
  broken = false;

  async sendBatch(messages: Iterable<{ body: EditMessage }>): Promise<void> {
    if (this.broken) throw new Error("the queue is down");
    for (const { body } of messages) this.sent.push(body);
  }

  get jobs(): string[] {
    return this.sent.flatMap(({ jobs }) => [...jobs]);
  }

  asBinding(): Queue<EditMessage> {
    return this as unknown as Queue<EditMessage>;
  }
}

/** Empties every table but the key and policy ones, so that tests of one file start alike. */
export async function emptyLoop(): Promise<void> {
  const tables = [
    "rechecks",
    "sentinel_scores",
    "pair_refusals",
    "pair_scores",
    "pairs",
    "leases",
    "edit_jobs",
    "ticks",
    "sources",
    "failures",
    "images",
    "region_levels",
    "region_reports",
    "regions",
    "difficulties",
    "audit_log",
    "reservations",
    "spending",
  ];
  await env.DB.batch([
    env.DB.prepare("UPDATE pointers SET adapter = NULL, round_id = NULL, updated_at = 0"),
    env.DB.prepare("UPDATE adapters SET round_id = NULL"),
    ...tables.map((table) => env.DB.prepare(`DELETE FROM ${table}`)),
    env.DB.prepare("DELETE FROM adapters"),
    env.DB.prepare("DELETE FROM rounds"),
    env.DB.prepare("DELETE FROM policies WHERE version > 1"),
  ]);
}

export async function rows<T>(sql: string, ...params: (string | number | null)[]): Promise<T[]> {
  return (
    await env.DB.prepare(sql)
      .bind(...params)
      .all<T>()
  ).results;
}

/**
 * The database, interrupted once: `action` happens just before the statement that contains `fragment` runs, alone or in a
 * batch. So a test decides what comes between a room's reading and its writing.
 */
export function interrupted(fragment: string, action: () => Promise<unknown>): D1Database {
  let pending = true;
  return watchedDatabase(async (run, sql) => {
    if (pending && sql.some((one) => one.includes(fragment))) {
      pending = false;
      await action();
    }
    return run();
  });
}
