import { asc, desc } from "drizzle-orm";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";
import { parseRegionKey } from "../../shared/taxonomy/taxonomy.ts";
import { reads } from "./db.ts";
import { regions } from "./schema.ts";

/** Regions listed at once, the heaviest first. */
const REGIONS_SHOWN = 2_000;

/** What the loop knows of every region, for people. */
export async function listRegions(db: D1Database) {
  return reads(db)
    .select({
      key: regions.key,
      failures: regions.failures,
      exposures: regions.exposures,
      totalFailures: regions.totalFailures,
      totalExposures: regions.totalExposures,
      failureMass: regions.failureMass,
      ability: regions.abilityMean,
      abilityVariance: regions.abilityVar,
      level: regions.level,
      backlog: regions.backlog,
      scored: regions.scored,
      chosenLogRatio: regions.chosenLogRatio,
    })
    .from(regions)
    .orderBy(desc(regions.failureMass), desc(regions.totalFailures), asc(regions.key))
    .limit(REGIONS_SHOWN)
    .all();
}

/** One judged event, as the statistics see it. */
export interface Counted {
  readonly clientId: string;
  /** Wrong answers of this client that count per region and tick. */
  readonly reportCap: number;
  readonly wrong: boolean;
  readonly region: string;
}

/**
 * The statements that count events in their regions; they go into the transaction that stores the events.
 *
 * A judged event exposes every region of its task, language and modality: each of them could have failed. So all these
 * regions have the same exposures, and one that is first seen late takes them over, as if it had been there from the start;
 * the order in which events arrive does not matter. A wrong answer counts in its own region: in the total always, for the
 * next plan at most `reportCap` times per client and tick.
 */
export function countStatements(db: D1Database, events: readonly Counted[]): D1PreparedStatement[] {
  if (events.length === 0) return [];
  const { regions: seen, exposed, failed } = tally(events);
  const news = JSON.stringify({ exposed, failed });
  return [
    db
      .prepare(
        `INSERT INTO regions (key, task, error_type, language, modality, created_at, exposures, new_exposures, total_exposures)
         SELECT seen.value ->> 0, seen.value ->> 1, seen.value ->> 2, seen.value ->> 3, seen.value ->> 4, ?2,
                COALESCE(kin.exposures, 0), COALESCE(kin.new_exposures, 0), COALESCE(kin.total_exposures, 0)
         FROM json_each(?1) seen
         LEFT JOIN regions kin ON kin.key = (
           SELECT key FROM regions
           WHERE task = seen.value ->> 1 AND language = seen.value ->> 3 AND modality = seen.value ->> 4 LIMIT 1
         )
         WHERE true ON CONFLICT DO NOTHING`,
      )
      .bind(JSON.stringify(seen), Date.now()),
    db
      .prepare(
        `INSERT INTO region_levels (region, level)
         SELECT seen.value ->> 0, levels.key + 1 FROM json_each(?1) seen, json_each(?2) levels
         WHERE true ON CONFLICT DO NOTHING`,
      )
      .bind(JSON.stringify(seen), JSON.stringify(START_DIFFICULTY)),
    db
      .prepare(
        `INSERT INTO difficulties (error_type, level, difficulty)
         SELECT seen.value ->> 2, levels.key + 1, levels.value FROM json_each(?1) seen, json_each(?2) levels
         WHERE true ON CONFLICT DO NOTHING`,
      )
      .bind(JSON.stringify(seen), JSON.stringify(START_DIFFICULTY)),
    db
      .prepare(
        `UPDATE regions SET
           new_exposures = new_exposures + news.exposures,
           total_exposures = total_exposures + news.exposures,
           new_failures = new_failures + news.counted,
           total_failures = total_failures + news.failures
         FROM (
           SELECT r.key, exposed.value ->> 3 AS exposures, COALESCE(failed.failures, 0) AS failures,
                  COALESCE(failed.counted, 0) AS counted
           FROM json_each(?1, '$.exposed') exposed
           JOIN regions r ON r.task = exposed.value ->> 0 AND r.language = exposed.value ->> 1
             AND r.modality = exposed.value ->> 2
           LEFT JOIN (
             SELECT region, SUM(events) AS failures, SUM(MIN(events, MAX(cap - already, 0))) AS counted
             FROM (${FAILED}) GROUP BY region
           ) failed ON failed.region = r.key
         ) news
         WHERE regions.key = news.key`,
      )
      .bind(news),
    db
      .prepare(
        `INSERT INTO region_reports (client_id, region, counted)
         SELECT client_id, region, MAX(already, MIN(already + events, cap)) FROM (${FAILED})
         WHERE true ON CONFLICT (client_id, region) DO UPDATE SET counted = excluded.counted`,
      )
      .bind(news),
  ];
}

/** The wrong answers of each client in each region, with what counted already since the last tick. */
const FAILED = `SELECT f.value ->> 0 AS client_id, f.value ->> 1 AS region, f.value ->> 2 AS cap, f.value ->> 3 AS events,
    COALESCE(reports.counted, 0) AS already
  FROM json_each(?1, '$.failed') f
  LEFT JOIN region_reports reports ON reports.client_id = f.value ->> 0 AND reports.region = f.value ->> 1`;

type SeenRegion = readonly [key: string, task: string, errorType: string, language: string, modality: string];
type Exposed = [task: string, language: string, modality: string, events: number];
type Failed = [clientId: string, region: string, reportCap: number, events: number];

function tally(events: readonly Counted[]) {
  const regions = new Map<string, SeenRegion>();
  const exposed = new Map<string, Exposed>();
  const failed = new Map<string, Failed>();
  for (const { clientId, reportCap, wrong, region } of events) {
    const seen = regions.get(region) ?? seenRegion(region);
    regions.set(region, seen);
    const [, task, , language, modality] = seen;
    const cell = `${task}/${language}/${modality}`;
    const exposure = exposed.get(cell) ?? [task, language, modality, 0];
    exposure[3] += 1;
    exposed.set(cell, exposure);
    if (!wrong) continue;
    const failure = failed.get(`${clientId}/${region}`) ?? [clientId, region, reportCap, 0];
    failure[3] += 1;
    failed.set(`${clientId}/${region}`, failure);
  }
  return { regions: [...regions.values()], exposed: [...exposed.values()], failed: [...failed.values()] };
}

function seenRegion(key: string): SeenRegion {
  const { task, errorType, language, modality } = parseRegionKey(key);
  return [key, task, errorType, language, modality];
}
