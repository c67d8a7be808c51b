import { seeded } from "../../shared/edits/random.ts";
import { MODALITIES, regionKey, TASK_ERROR_TYPES, TASKS } from "../../shared/taxonomy/taxonomy.ts";

/** A store as it looks after months: regions in all states, sources that wait, and pairs that had their time. */

/** What this file needs of D1. */
export interface Database {
  prepare(sql: string): { bind(...values: unknown[]): unknown };
  batch(statements: unknown[]): Promise<unknown>;
}

/** Sources of each region that were not edited yet. */
const FRESH_SOURCES = 4;
/** Pairs made of one source, which has had its edits then. */
const PAIRS_PER_SOURCE = 2;
/** Pairs that are ready however many there are. */
const READY_PAIRS = 8_000;
const CLIENTS = 200;
/** This part of the reports comes from one client. */
const FLOOD = 0.3;
const ROWS_PER_STATEMENT = 20_000;
const IMAGE = "a".repeat(64);

interface RegionFixture {
  readonly key: string;
  readonly task: string;
  readonly errorType: string;
  readonly language: string;
  readonly modality: string;
}

/** So many different regions, language by language. */
function regionsOf(count: number): RegionFixture[] {
  const regions: RegionFixture[] = [];
  for (let language = 0; ; language++) {
    const name = String.fromCharCode(97 + Math.floor(language / 26), 97 + (language % 26));
    for (const modality of MODALITIES) {
      for (const task of TASKS) {
        for (const errorType of TASK_ERROR_TYPES[task]) {
          if (regions.length === count) return regions;
          const region = { task, errorType, language: name, modality };
          regions.push({ ...region, key: regionKey(region) });
        }
      }
    }
  }
}

/** Regions with their statistics, and sources that can be edited. */
export async function fillRegions(db: Database, count: number): Promise<void> {
  const random = seeded(count);
  const columns = regionsOf(count).map((region, rank) => {
    const failures = (400 * random()) / (rank + 1) ** 0.8;
    const rise = { failures: failures * 4, exposures: failures * 4 + 4_000 * random(), rise: 6 * random() };
    const rounds = { innovation: 3 * random(), firstTried: 40, firstRight: 30, still: rank % 6, abilityWas: random() };
    return {
      ...region,
      failures,
      exposures: 100 + 900 * random(),
      mass: failures / 5,
      ability: 2 * random() - 1,
      variance: 0.1 + random(),
      tokens: rank % 3 === 0 ? 0 : 800 + 900 * random(),
      scored: rank % 2 === 0 ? 0 : Math.floor(90 * random()),
      planned: rank % 5 === 0 ? null : Math.floor(1e12 * random()),
      rate: JSON.stringify(rise),
      round: rank % 2 === 0 ? "{}" : JSON.stringify(rounds),
    };
  });
  const chunks = Array.from({ length: Math.ceil(count / 2_000) }, (_, i) => columns.slice(2_000 * i, 2_000 * (i + 1)));
  for (const chunk of chunks) {
    const insert = db.prepare(
      `INSERT INTO regions (key, task, error_type, language, modality, created_at, failures, exposures, failure_mass,
         ability_mean, ability_var, level, cost_tokens, scored, planned_at, rate_watch, round_watch, last_failed_at)
       SELECT value ->> 'key', value ->> 'task', value ->> 'errorType', value ->> 'language', value ->> 'modality', 0,
              value ->> 'failures', value ->> 'exposures', value ->> 'mass', value ->> 'ability', value ->> 'variance', 3,
              value ->> 'tokens', value ->> 'scored', value ->> 'planned', value ->> 'rate', value ->> 'round', 4e12
       FROM json_each(?1)`,
    );
    await db.batch([insert.bind(JSON.stringify(chunk))]);
  }
  await db.batch([
    db.prepare(
      `INSERT INTO region_levels (region, level, attempted, refused)
       SELECT r.key, l.value, iif((r.rowid + l.value) % 2, 20.5 + r.rowid % 7, 0), iif((r.rowid + l.value) % 2, 1.5, 0)
       FROM regions r, json_each('[1,2,3,4]') l`,
    ),
    db.prepare(
      `INSERT INTO difficulties (error_type, level, difficulty)
       SELECT DISTINCT r.error_type, l.value, l.value - 2.4 FROM regions r, json_each('[1,2,3,4]') l`,
    ),
    db.prepare(
      `INSERT INTO images (sha256, media_type, bytes, width, height, created_at) VALUES ('${IMAGE}', 'image/png', 1, 1, 1, 0)`,
    ),
    db.prepare(
      `INSERT INTO sources (id, images, split, conversation, answer, own_answer, task, error_type, language, modality,
                            polarity, created_at)
       SELECT 'fresh/' || r.rowid || '/' || n.value, '["${IMAGE}"]', 'train', '[]', 'two', iif(n.value % 2, 'three', NULL),
              r.task, r.error_type, r.language, r.modality, NULL, 1000 * r.rowid + n.value
       FROM regions r, json_each('${JSON.stringify(Array.from({ length: FRESH_SOURCES }, (_, i) => i))}') n`,
    ),
    db.prepare(
      "INSERT INTO policies (version, document, created_at, author, reason) VALUES (1, '{}', 0, 'bench', 'bench')",
    ),
    db.prepare(
      `INSERT INTO ticks (id, slot, at, policy_version, seed, inputs, inputs_sha256, plan, plan_sha256, jobs)
       VALUES (1, 'fill', 0, 1, 0, '', '', '', '', 0)`,
    ),
    db.prepare(
      `INSERT INTO clients (id, name, report_cap, created_at)
       WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${CLIENTS})
       SELECT 'client/' || i, 'client', 3, 0 FROM n`,
    ),
  ]);
}

/** Pairs from number `from` on, below `to`, with their jobs and sources. */
export async function fillPairs(db: Database, from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += ROWS_PER_STATEMENT) {
    const last = Math.min(to, first + ROWS_PER_STATEMENT);
    const numbers =
      "WITH RECURSIVE n (i) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)";
    const region = `regions r ON r.rowid = (i / ${PAIRS_PER_SOURCE}) % (SELECT count(*) FROM regions) + 1`;
    await db.batch([
      db
        .prepare(
          `${numbers} INSERT INTO sources (id, images, split, conversation, answer, task, error_type, language, modality, jobs,
                                           created_at)
           SELECT 'used/' || (i / ${PAIRS_PER_SOURCE}), '["${IMAGE}"]', 'train', '[]', 'two', r.task, r.error_type, r.language,
                  r.modality, ${PAIRS_PER_SOURCE}, i
           FROM n CROSS JOIN ${region} WHERE i % ${PAIRS_PER_SOURCE} = 0`,
        )
        .bind(first, last),
      db
        .prepare(
          `${numbers} INSERT INTO edit_jobs (id, tick_id, source_id, region, error_type, level, state, created_at)
           SELECT 'job/' || i, 1, 'used/' || (i / ${PAIRS_PER_SOURCE}), r.key, r.error_type, 2 + i % ${PAIRS_PER_SOURCE},
                  'accepted', i FROM n CROSS JOIN ${region}`,
        )
        .bind(first, last),
      db
        .prepare(
          `${numbers} INSERT INTO pairs (id, job_id, source_id, region, error_type, level, rejected, origin, state, created_at)
           SELECT 'job/' || i, 'job/' || i, 'used/' || (i / ${PAIRS_PER_SOURCE}), r.key, r.error_type,
                  2 + i % ${PAIRS_PER_SOURCE}, 'wrong ' || i, 'builtin', iif(i < ${READY_PAIRS}, 'ready', 'saturated'), i
           FROM n CROSS JOIN ${region}`,
        )
        .bind(first, last),
    ]);
  }
}

/** New reports in every region, as a busy tick finds them, and the sources as they were before any tick. */
export async function renew(db: Database): Promise<void> {
  await db.batch([
    db.prepare("DELETE FROM edit_jobs WHERE state = 'queued'"),
    db.prepare("UPDATE sources SET jobs = 0 WHERE id BETWEEN 'fresh/' AND 'fresh0'"),
    db.prepare("DELETE FROM region_reports"),
    db.prepare(
      `INSERT INTO region_reports (client_id, region, exposures, counted, tagged)
       SELECT 'client/' || ((r.rowid * 7 + n.value * 31) % ${CLIENTS}), r.key, 6, 3, n.value
       FROM regions r, json_each('[0,1]') n WHERE true ON CONFLICT DO NOTHING`,
    ),
    db.prepare(
      `INSERT INTO region_reports (client_id, region, exposures, counted, tagged)
       SELECT 'client/0', key, 6, 3, 3 FROM regions WHERE rowid % 10 < ${10 * FLOOD} ON CONFLICT DO NOTHING`,
    ),
    db.prepare(
      `UPDATE regions SET new_exposures = 40, new_failures = reported.weight
       FROM (SELECT region, sum((counted + tagged) / 2.0) AS weight FROM region_reports GROUP BY region) reported
       WHERE reported.region = regions.key`,
    ),
  ]);
}
