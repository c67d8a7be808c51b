import { HOLDS, type Holder, holderParams } from "./leases.ts";

/** How many of a region's pairs wait to be trained on; pairs in a live lease are among them until their round ends. */
export interface RegionBacklog {
  readonly region: string;
  readonly backlog: number;
}

/** Every region with pairs to train on, the largest backlog first. Reads one row per region. */
export async function backlogs(db: D1Database): Promise<RegionBacklog[]> {
  const found = await db
    .prepare("SELECT key AS region, backlog FROM regions WHERE backlog > 0 ORDER BY backlog DESC, key")
    .all<RegionBacklog>();
  return found.results;
}

/** How many of a region's oldest ready pairs to look at, of each polarity. */
export interface QueueHead {
  readonly region: string;
  readonly limit: number;
}

/**
 * The sources behind the oldest ready pairs of each region. Every polarity has a window of its own, so that a queue of
 * answers that all say yes cannot hide the no behind it. Reads at most three limits per region.
 */
export async function readySources(
  db: D1Database,
  heads: readonly QueueHead[],
  maxTrainings: number,
): Promise<string[]> {
  if (heads.length === 0) return [];
  const oldest = (polarity: string) =>
    `SELECT source_id FROM (SELECT source_id FROM pairs WHERE state = 'ready' AND region = ?1 AND polarity ${polarity}
       AND trainings < ?3 ORDER BY created_at, id LIMIT ?2)`;
  const statement = db.prepare(
    `${oldest("IS NULL")} UNION ${oldest("= 'no'")} UNION ${oldest("= 'yes'")} ORDER BY source_id`,
  );
  const found = await db.batch<{ source_id: string }>(
    heads.map(({ region, limit }) => statement.bind(region, limit, maxTrainings)),
  );
  return [...new Set(found.flatMap(({ results }) => results.map((row) => row.source_id)))];
}

/** A ready pair with what a batch must know of it. */
export interface ReadyPair {
  readonly id: string;
  readonly sourceId: string;
  readonly region: string;
  readonly polarity: "yes" | "no" | null;
  readonly createdAt: number;
}

/** All ready pairs of these sources, oldest first: whole groups. */
export async function readyPairs(
  db: D1Database,
  sourceIds: readonly string[],
  maxTrainings: number,
): Promise<ReadyPair[]> {
  const found = await db
    .prepare(
      `SELECT p.id, p.source_id AS sourceId, p.region, p.polarity, p.created_at AS createdAt
       FROM json_each(?1) wanted
       CROSS JOIN pairs p ON p.source_id = wanted.value AND p.state = 'ready' AND p.trainings < ?2
       ORDER BY p.created_at, p.id`,
    )
    .bind(JSON.stringify(sourceIds), maxTrainings)
    .all<ReadyPair>();
  return found.results;
}

/** Those of the sources that must not be trained on: held out, or with an image missing. */
export async function unfitSources(db: D1Database, sourceIds: readonly string[]): Promise<string[]> {
  const found = await db
    .prepare(
      `SELECT s.id FROM json_each(?1) wanted CROSS JOIN sources s ON s.id = wanted.value
       WHERE s.split <> 'train' OR NOT ${imagesPresent("s")}`,
    )
    .bind(JSON.stringify(sourceIds))
    .all<{ id: string }>();
  return found.results.map(({ id }) => id);
}

/** SQL that is true when every image of the source with this alias is stored. */
export function imagesPresent(source: string): string {
  return `NOT EXISTS (SELECT 1 FROM json_each(${source}.images) image
    WHERE NOT EXISTS (SELECT 1 FROM images stored WHERE stored.sha256 = image.value))`;
}

/** Characters of text that one page may hold; its first line may be longer. */
const PAGE_CHARS = 4_000_000;

/**
 * SQL for a page of rows in the order of `order`: `rows` selects them with a column `chars`. Rows behind the characters that a
 * page may hold have no conversation.
 */
export function fittingPage(columns: string, rows: string, order: string): string {
  return `SELECT ${columns}, CASE WHEN sum(chars) OVER (ORDER BY ${order}) - chars <= ${PAGE_CHARS} THEN conversation END
    AS conversation FROM (${rows}) ORDER BY ${order}`;
}

/** A pair as a round's batch tells it; `conversation` is JSON, null when the line belongs to a later page. */
export interface BatchPair {
  readonly id: string;
  readonly sourceId: string;
  readonly region: string;
  readonly task: string;
  readonly errorType: string;
  readonly level: number;
  readonly origin: string;
  readonly conversation: string | null;
  readonly chosen: string;
  readonly rejected: string;
}

/** At most `limit` pairs of the round's batch by id, after the id `after`; none for a holder that is late. */
export async function batchPage(
  db: D1Database,
  holder: Holder,
  page: { readonly now: number; readonly after: string; readonly limit: number },
): Promise<BatchPair[]> {
  const found = await db
    .prepare(
      fittingPage(
        "id, sourceId, region, task, errorType, level, origin, chosen, rejected",
        `SELECT p.id, p.source_id AS sourceId, p.region, s.task, p.error_type AS errorType, p.level, p.origin,
                s.conversation, s.answer AS chosen, p.rejected,
                length(s.conversation) + length(s.answer) + length(p.rejected) AS chars
         FROM pairs p JOIN sources s ON s.id = p.source_id
         WHERE p.round_id = ?2 AND p.state = 'leased' AND p.id > ?5 AND ${HOLDS} ORDER BY p.id LIMIT ?6`,
        "id",
      ),
    )
    .bind(...holderParams(holder, page.now), page.after, page.limit)
    .all<BatchPair>();
  return found.results;
}
