import { asc, desc, isNotNull, isNull, sql } from "drizzle-orm";
import type { z } from "zod";
import type { regionRow, regionsQuery, regionsResponse } from "../../shared/contracts/operator.ts";
import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { alarmsOf, readRateWatch, readRoundWatch } from "../../shared/hardness/alarms.ts";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";
import { parseRegionKey } from "../../shared/taxonomy/taxonomy.ts";
import { reads } from "./db.ts";
import { REPORT_WEIGHT } from "./region-reports.ts";
import { regions } from "./schema.ts";

type RegionRow = z.infer<typeof regionRow>;
type Parent = NonNullable<RegionRow["parent"]>;

const SHOWN = {
  key: regions.key,
  failures: regions.failures,
  exposures: regions.exposures,
  totalFailures: regions.totalFailures,
  totalExposures: regions.totalExposures,
  failureMass: regions.failureMass,
  ability: regions.abilityMean,
  abilityVariance: regions.abilityVar,
  level: regions.level,
  stairLevel: regions.stairLevel,
  backlog: regions.backlog,
  scored: regions.scored,
  chosenLogRatio: regions.chosenLogRatio,
  costTokens: regions.costTokens,
  costMicros: regions.costMicros,
  archivedAt: regions.archivedAt,
  rateWatch: regions.rateWatch,
  roundWatch: regions.roundWatch,
} as const;

/** A page of what the loop knows of the regions, the heaviest first; those with few exposures together with their parents. */
export async function listRegions(
  db: D1Database,
  { offset, limit, archived }: z.output<typeof regionsQuery>,
  policy: PolicyDocument,
): Promise<z.infer<typeof regionsResponse>> {
  const found = await reads(db)
    .select(SHOWN)
    .from(regions)
    .where(archived === "yes" ? isNotNull(regions.archivedAt) : isNull(regions.archivedAt))
    .orderBy(desc(regions.failureMass), desc(regions.totalFailures), asc(regions.key))
    .limit(limit + 1)
    .offset(offset)
    .all();
  const page = found.slice(0, limit);
  const isSparse = ({ exposures }: { exposures: number }) => exposures < policy.scheduler.sparseExposures;
  const parents = page.some(isSparse) ? await readParents(db) : new Map<string, Parent>();
  return {
    regions: page.map(({ rateWatch, roundWatch, ...region }): RegionRow => {
      const watches = { rateWatch: readRateWatch(rateWatch), roundWatch: readRoundWatch(roundWatch) };
      const alarms = [...alarmsOf({ ...watches, chosenLogRatio: region.chosenLogRatio }, policy)];
      return { ...region, alarms, parent: isSparse(region) ? (parents.get(parentKey(region.key)) ?? null) : null };
    }),
    next: found.length > limit ? offset + limit : null,
  };
}

/** Each task and error type in all its languages and modalities, archived ones too. */
async function readParents(db: D1Database): Promise<Map<string, Parent>> {
  const found = await reads(db)
    .select({
      key: sql<string>`${regions.task} || '/' || ${regions.errorType} || '/*/*'`,
      failures: sql<number>`sum(${regions.failures})`,
      exposures: sql<number>`sum(${regions.exposures})`,
      totalFailures: sql<number>`sum(${regions.totalFailures})`,
      totalExposures: sql<number>`sum(${regions.totalExposures})`,
    })
    .from(regions)
    .groupBy(regions.task, regions.errorType)
    .all();
  return new Map(found.map((parent) => [parent.key, parent]));
}

function parentKey(key: string): string {
  const { task, errorType } = parseRegionKey(key);
  return `${task}/${errorType}/*/*`;
}

/** One judged event, as the statistics see it. */
export interface Counted {
  readonly clientId: string;
  /** Wrong answers of this client that count per region and tick. */
  readonly reportCap: number;
  readonly wrong: boolean;
  /** The client told the error type; a report whose type was inferred weighs half. */
  readonly tagged: boolean;
  readonly region: string;
}

/**
 * The statements that count events in their regions; they go into the transaction that stores the events.
 *
 * A judged event exposes every region of its task, language and modality: each of them could have failed. So all these
 * regions have the same exposures, and one that is first seen late takes them over, as if it had been there from the start;
 * the order in which events arrive does not matter. A wrong answer counts in its own region: in the total always, for the
 * next plan at most `reportCap` times per client and tick, tagged ones before the others, in whatever order they come. It
 * brings a region back that was archived. How many judged events of a client lie in a region is noted too, for the tick to cut.
 */
export function countStatements(db: D1Database, events: readonly Counted[]): D1PreparedStatement[] {
  if (events.length === 0) return [];
  const { regions: seen, exposed, reported } = tally(events);
  const news = JSON.stringify({ exposed, reported });
  const now = Date.now();
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
      .bind(JSON.stringify(seen), now),
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
           new_failures = new_failures + news.weight,
           total_failures = total_failures + news.failures,
           last_failed_at = iif(news.failures > 0, ?2, last_failed_at),
           archived_at = iif(news.failures > 0, NULL, archived_at)
         FROM (
           SELECT r.key, exposed.value ->> 3 AS exposures, COALESCE(failed.failures, 0) AS failures,
                  COALESCE(failed.weight, 0) AS weight
           FROM jsonb_each(?1, '$.exposed') exposed
           JOIN regions r ON r.task = exposed.value ->> 0 AND r.language = exposed.value ->> 1
             AND r.modality = exposed.value ->> 2
           LEFT JOIN (
             SELECT region, SUM(events) AS failures,
                    SUM(${REPORT_WEIGHT("counted_now - counted_before", "tagged_now - tagged_before")}) AS weight
             FROM (${REPORTED}) WHERE events > 0 GROUP BY region
           ) failed ON failed.region = r.key
         ) news
         WHERE regions.key = news.key`,
      )
      .bind(news, now),
    db
      .prepare(
        `INSERT INTO region_reports (client_id, region, exposures, counted, tagged)
         SELECT client_id, region, exposures_now, counted_now, tagged_now FROM (${REPORTED})
         WHERE true ON CONFLICT (client_id, region) DO UPDATE SET
           exposures = excluded.exposures, counted = excluded.counted, tagged = excluded.tagged`,
      )
      .bind(news),
  ];
}

/**
 * What each client reported in each region: its wrong answers, with what counts of them since the last tick, before and now, and
 * its judged events since then. `jsonb_each` parses once.
 */
const REPORTED = `SELECT f.value ->> 0 AS client_id, f.value ->> 1 AS region, f.value ->> 3 AS events,
    COALESCE(reports.exposures, 0) + (f.value ->> 5) AS exposures_now,
    COALESCE(reports.counted, 0) AS counted_before, COALESCE(reports.tagged, 0) AS tagged_before,
    MAX(COALESCE(reports.counted, 0), MIN(COALESCE(reports.counted, 0) + (f.value ->> 3), f.value ->> 2)) AS counted_now,
    MAX(COALESCE(reports.tagged, 0), MIN(COALESCE(reports.tagged, 0) + (f.value ->> 4), f.value ->> 2)) AS tagged_now
  FROM jsonb_each(?1, '$.reported') f
  LEFT JOIN region_reports reports ON reports.client_id = f.value ->> 0 AND reports.region = f.value ->> 1`;

type SeenRegion = readonly [key: string, task: string, errorType: string, language: string, modality: string];
type Exposed = [task: string, language: string, modality: string, events: number];
type Reported = [clientId: string, region: string, reportCap: number, wrong: number, tagged: number, judged: number];

function tally(events: readonly Counted[]) {
  const regions = new Map<string, SeenRegion>();
  const exposed = new Map<string, Exposed>();
  const reported = new Map<string, Reported>();
  for (const { clientId, reportCap, wrong, tagged, region } of events) {
    const seen = regions.get(region) ?? seenRegion(region);
    regions.set(region, seen);
    const [, task, , language, modality] = seen;
    const cell = `${task}/${language}/${modality}`;
    const exposure = exposed.get(cell) ?? [task, language, modality, 0];
    exposure[3] += 1;
    exposed.set(cell, exposure);
    const report = reported.get(`${clientId}/${region}`) ?? [clientId, region, reportCap, 0, 0, 0];
    if (wrong) report[3] += 1;
    if (wrong && tagged) report[4] += 1;
    report[5] += 1;
    reported.set(`${clientId}/${region}`, report);
  }
  return { regions: [...regions.values()], exposed: [...exposed.values()], reported: [...reported.values()] };
}

function seenRegion(key: string): SeenRegion {
  const { task, errorType, language, modality } = parseRegionKey(key);
  return [key, task, errorType, language, modality];
}
