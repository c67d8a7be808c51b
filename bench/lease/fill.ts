import type { Database } from "../tick/fill.ts";

/** Pairs of one source. */
const PAIRS_PER_SOURCE = 2;
const ROWS_PER_STATEMENT = 50_000;
/** Different images, beginnings of questions, and words that were changed into each other. */
const IMAGES = 200_000;
const TEMPLATES = 40;
const WORDS = 49;

/**
 * So many ready pairs, spread over all regions and two levels each; a third of the right answers say
 * yes or no. Every word is as often right as it is wrong.
 */
export async function fillReady(db: Database, count: number): Promise<void> {
  for (let first = 0; first < count; first += ROWS_PER_STATEMENT) {
    const last = Math.min(count, first + ROWS_PER_STATEMENT);
    const numbers =
      "WITH RECURSIVE n (i) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)";
    const region = `regions r ON r.rowid = (i / ${PAIRS_PER_SOURCE}) % (SELECT count(*) FROM regions) + 1`;
    const source = `i / ${PAIRS_PER_SOURCE}`;
    const polarity = `CASE (${source}) / (SELECT count(*) FROM regions) % 6 WHEN 0 THEN 'yes' WHEN 3 THEN 'no' END`;
    const word = (shift: string) => `'word' || (((${source}) % ${WORDS} + ${shift}) % ${WORDS})`;
    const [one, next] = [word("(i % 2)"), word("(1 - i % 2)")];
    const id =
      "printf('%08x%08x%08x%08x', i * 2654435761 % 4294967296, i * 2246822519 % 4294967296, i * 3266489917 % 4294967296, i)";
    const fill = (sql: string) => db.prepare(`${numbers} ${sql}`).bind(first, last);
    await db.batch([
      fill(`INSERT INTO sources (id, images, split, conversation, answer, task, error_type, language, modality, polarity, jobs,
                                 created_at)
            SELECT 's' || (${source}), '[]', 'train', '[]', 'two', r.task, r.error_type, r.language, r.modality, ${polarity},
                   ${PAIRS_PER_SOURCE}, i
            FROM n CROSS JOIN ${region} WHERE i % ${PAIRS_PER_SOURCE} = 0`),
      fill(`INSERT INTO edit_jobs (id, tick_id, source_id, region, error_type, level, state, created_at)
            SELECT ${id}, 1, 's' || (${source}), r.key, r.error_type, 2 + i % 2,
                   'accepted', i
            FROM n CROSS JOIN ${region}`),
      fill(`INSERT INTO pairs (id, job_id, source_id, region, error_type, level, rejected, polarity, origin, state, state_at,
                               created_at, image, template, span_from, span_to)
            SELECT ${id}, ${id}, 's' || (${source}),
                   r.key, r.error_type, 2 + i % 2, 'wrong ' || i, ${polarity}, 'builtin', 'ready', i, i,
                   'image' || ((${source}) % ${IMAGES}), 'question ' || ((${source}) % ${TEMPLATES}), ${one}, ${next}
            FROM n CROSS JOIN ${region}`),
    ]);
  }
}

/** Fills with no index and no trigger on pairs in the way; they are made again afterwards, and the counts that they keep. */
export async function fillBare(db: Database, fill: () => Promise<void>): Promise<void> {
  const { results: made } = await (db as unknown as ReadableDatabase)
    .prepare(
      "SELECT name, type, sql FROM sqlite_master WHERE tbl_name = 'pairs' AND sql IS NOT NULL AND type <> 'table'",
    )
    .all<{ name: string; type: string; sql: string }>();
  await db.batch(made.map(({ name, type }) => db.prepare(`DROP ${type} ${name}`)));
  await fill();
  for (const { sql } of made) await db.batch([db.prepare(sql)]);
  const waiting = (polarity: string) =>
    `(SELECT count(*) FROM pairs p WHERE p.region = region_levels.region AND p.level = region_levels.level
      AND p.polarity IS ${polarity} AND p.state = 'ready')`;
  await db.batch([
    db.prepare("UPDATE regions SET backlog = (SELECT count(*) FROM pairs WHERE region = key AND state = 'ready')"),
    db.prepare(
      `UPDATE region_levels SET waiting_open = ${waiting("NULL")}, waiting_yes = ${waiting("'yes'")}, waiting_no = ${waiting("'no'")}`,
    ),
  ]);
}

/** A batch of so many pairs starts as soon as they are there. */
export async function startAt(db: Database, pairs: number): Promise<void> {
  const document = { training: { maxPairs: pairs }, batch: { startPairs: pairs } };
  await db.batch([db.prepare("UPDATE policies SET document = ?1 WHERE version = 1").bind(JSON.stringify(document))]);
}

export interface ReadableDatabase {
  prepare(sql: string): { first<T>(): Promise<T | null>; all<T>(): Promise<{ results: T[] }> };
}

/** Pairs that are leased, and pairs that the live rounds began with: they differ if two rounds lease one pair. */
export async function leasesNow(db: ReadableDatabase): Promise<{ leased: number; claimed: number }> {
  const found = await db
    .prepare(
      `SELECT (SELECT count(*) FROM pairs WHERE state = 'leased') AS leased,
              (SELECT coalesce(sum(pairs), 0) FROM rounds WHERE state = 'claimed') AS claimed`,
    )
    .first<{ leased: number; claimed: number }>();
  if (!found) throw new Error("the leases were not counted");
  return found;
}
