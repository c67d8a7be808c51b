import { asc, desc } from "drizzle-orm";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";
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

export interface CountedEvents {
  /** JSON array of `{id, verdict, region, task, errorType, language, modality}`. */
  readonly marks: string;
  readonly clientId: string;
  readonly reportCap: number;
  /** ms */
  readonly receivedAt: number;
}

/** The judged events among the marks that are not stored yet. Only true until the failures are inserted. */
const FRESH = `WITH fresh AS (
  SELECT value ->> 'verdict' AS verdict, value ->> 'region' AS region, value ->> 'task' AS task,
         value ->> 'errorType' AS error_type, value ->> 'language' AS language, value ->> 'modality' AS modality
  FROM json_each(?1)
  WHERE value ->> 'verdict' <> 'unjudged' AND NOT EXISTS (SELECT 1 FROM failures WHERE failures.id = value ->> 'id')
)`;

/**
 * The statements that count events in their regions; they go before the insertion of the failures, in one batch with it.
 *
 * A judged event exposes every region of its task, language and modality: each of them could have failed. So all these
 * regions have the same exposures, and one that is first seen late takes them over, as if it had been there from the start;
 * the order in which events arrive does not matter. A wrong answer counts in its own region: in the total always, for the
 * next plan at most `reportCap` times per client and tick.
 */
export function countEvents(db: D1Database, events: CountedEvents): D1PreparedStatement[] {
  const { marks, clientId, reportCap, receivedAt } = events;
  return [
    db
      .prepare(
        `${FRESH}
         INSERT INTO regions (key, task, error_type, language, modality, created_at,
                              exposures, new_exposures, total_exposures)
         SELECT seen.region, seen.task, seen.error_type, seen.language, seen.modality, ?2, COALESCE(kin.exposures, 0),
                COALESCE(kin.new_exposures, 0), COALESCE(kin.total_exposures, 0)
         FROM (SELECT DISTINCT region, task, error_type, language, modality FROM fresh) seen
         LEFT JOIN regions kin ON kin.key = (
           SELECT key FROM regions WHERE task = seen.task AND language = seen.language AND modality = seen.modality LIMIT 1
         )
         WHERE true
         ON CONFLICT DO NOTHING`,
      )
      .bind(marks, receivedAt),
    db
      .prepare(
        `${FRESH}
         INSERT INTO region_levels (region, level)
         SELECT seen.region, levels.key + 1 FROM (SELECT DISTINCT region FROM fresh) seen, json_each(?2) levels WHERE true
         ON CONFLICT DO NOTHING`,
      )
      .bind(marks, JSON.stringify(START_DIFFICULTY)),
    db
      .prepare(
        `${FRESH}
         INSERT INTO difficulties (error_type, level, difficulty)
         SELECT seen.error_type, levels.key + 1, levels.value
         FROM (SELECT DISTINCT error_type FROM fresh) seen, json_each(?2) levels WHERE true
         ON CONFLICT DO NOTHING`,
      )
      .bind(marks, JSON.stringify(START_DIFFICULTY)),
    db
      .prepare(
        `${FRESH},
         exposed AS (SELECT task, language, modality, COUNT(*) AS events FROM fresh GROUP BY task, language, modality),
         failed AS (SELECT region, COUNT(*) AS events FROM fresh WHERE verdict = 'wrong' GROUP BY region)
         UPDATE regions SET
           new_exposures = new_exposures + news.exposures,
           total_exposures = total_exposures + news.exposures,
           new_failures = new_failures + MIN(news.failures, MAX(?3 - news.counted, 0)),
           total_failures = total_failures + news.failures
         FROM (
           SELECT r.key, exposed.events AS exposures, COALESCE(failed.events, 0) AS failures,
                  COALESCE(reports.counted, 0) AS counted
           FROM exposed
           JOIN regions r ON r.task = exposed.task AND r.language = exposed.language AND r.modality = exposed.modality
           LEFT JOIN failed ON failed.region = r.key
           LEFT JOIN region_reports reports ON reports.client_id = ?2 AND reports.region = r.key
         ) news
         WHERE regions.key = news.key`,
      )
      .bind(marks, clientId, reportCap),
    db
      .prepare(
        `${FRESH}
         INSERT INTO region_reports (client_id, region, counted)
         SELECT ?2, region, MIN(COUNT(*), ?3) FROM fresh WHERE verdict = 'wrong' GROUP BY region
         ON CONFLICT (client_id, region) DO UPDATE SET counted = MAX(counted, MIN(counted + excluded.counted, ?3))`,
      )
      .bind(marks, clientId, reportCap),
  ];
}
