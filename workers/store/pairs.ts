import type { Polarity } from "../../shared/hardness/batch.ts";
import type { Candidate } from "../../shared/hardness/selection.ts";
import type { Level } from "../../shared/taxonomy/taxonomy.ts";
import { jsonChunks } from "./chunks.ts";
import { HOLDS, type Holder, holderParams } from "./leases.ts";

/** A pair as a claim finds it. */
export interface FoundPair extends Candidate {
  /** Its rowid: where it stands now. Another pair may stand there later. */
  readonly row: number;
}

/** The front of a queue: `limit` pairs at most. */
export type HeadRequest = { readonly region: string; readonly limit: number } & (
  | { readonly kind: "fresh"; readonly level: Level; readonly polarity: Polarity }
  | { readonly kind: "again"; readonly level: Level }
  | { readonly kind: "mastered" }
);

/**
 * The queues: new pairs by age; those to repeat by how often they were trained on, then by their last scoring; mastered ones by
 * that. What batches left out stands behind what they did not, or it would be read again each time; of those to repeat, each time
 * counts as a training, for those trained on often enough must not be read. `asked` is SQL for the JSON of a request.
 */
const QUEUES: Readonly<Record<HeadRequest["kind"], (asked: string) => string>> = {
  fresh: (asked) => `state = 'ready' AND region = ${asked} ->> 0 AND level = ${asked} ->> 1
    AND polarity IS ${asked} ->> 2 ORDER BY passes, created_at, id`,
  again: (asked) => `state = 'trained' AND region = ${asked} ->> 0 AND level = ${asked} ->> 1
    AND trainings + passes < ${asked} ->> 2 ORDER BY trainings + passes, scored_at, id`,
  mastered: (asked) => `state = 'saturated' AND region = ${asked} ->> 0 ORDER BY passes, scored_at, id`,
};
const HEAD_COLUMNS = "rowid, id, source_id, polarity, image, template, span_from, span_to";
const HEAD_ROW = `json_array(${HEAD_COLUMNS})`;
/** Pairs in one value: D1 takes values of 2 MB, and the words of one pair can be 4 kB, where letters take three bytes. */
const VALUE_PAIRS = 256;

/**
 * The fronts of these queues, in the order of the requests. SQLite takes no limit from a row, so there is one statement per kind
 * and limit, and one per long front, all in one transaction. Reads the pairs that it gives, and nothing behind them.
 * @param maxTrainings pairs trained on so often are not repeated
 */
export async function queueHeads(
  db: D1Database,
  requests: readonly HeadRequest[],
  maxTrainings: number,
): Promise<FoundPair[][]> {
  const groupOf = (i: number): string => {
    const { kind, limit } = requests[i] ?? { kind: "", limit: 0 };
    return limit > VALUE_PAIRS ? String(i) : `${kind} ${limit}`;
  };
  const groups = [...Map.groupBy(requests.keys(), groupOf).values()];
  if (groups.length === 0) return [];
  const found = await db.batch<{ place: number; pairs: string }>(
    groups.flatMap((places) => {
      const asked = places.flatMap((i) => requests[i] ?? []);
      const [first] = asked;
      if (!first) return [];
      const lines = asked.map((request) => askedOf(request, maxTrainings));
      return first.limit > VALUE_PAIRS ? longHead(db, first, lines) : shortHeads(db, first, lines);
    }),
  );
  const heads: FoundPair[][] = requests.map(() => []);
  for (const [g, places] of groups.entries()) {
    for (const { place, pairs } of found[g]?.results ?? []) {
      const request = places[place] ?? 0;
      const region = requests[request]?.region ?? "";
      for (const row of JSON.parse(pairs) as HeadRow[]) heads[request]?.push(toFound(region, row));
    }
  }
  return heads;
}

type HeadRow = readonly [
  row: number,
  id: string,
  sourceId: string,
  polarity: Polarity,
  image: string | null,
  template: string | null,
  spanFrom: string | null,
  spanTo: string | null,
];

type Asked = readonly (string | number | null)[];

function askedOf(request: HeadRequest, maxTrainings: number): Asked {
  if (request.kind === "fresh") return [request.region, request.level, request.polarity];
  return request.kind === "again" ? [request.region, request.level, maxTrainings] : [request.region];
}

/** Fronts of one kind and limit, each in one value. */
function shortHeads(db: D1Database, { kind, limit }: HeadRequest, asked: readonly Asked[]): D1PreparedStatement {
  return db
    .prepare(
      `SELECT asked.key AS place, (
         SELECT json_group_array(${HEAD_ROW}) FROM (
           SELECT ${HEAD_COLUMNS} FROM pairs WHERE ${QUEUES[kind]("asked.value")} LIMIT ?2
         )
       ) AS pairs FROM json_each(?1) asked`,
    )
    .bind(JSON.stringify(asked), limit);
}

/** The front of one queue, each pair in a value of its own. */
function longHead(db: D1Database, { kind, limit }: HeadRequest, [asked]: readonly Asked[]): D1PreparedStatement {
  return db
    .prepare(`SELECT 0 AS place, json_array(${HEAD_ROW}) AS pairs FROM pairs WHERE ${QUEUES[kind]("?1")} LIMIT ?2`)
    .bind(JSON.stringify(asked), limit);
}

function toFound(region: string, [row, id, sourceId, polarity, image, template, spanFrom, spanTo]: HeadRow): FoundPair {
  return { row, id, sourceId, region, polarity, image, template, spanFrom, spanTo };
}

/**
 * SQL that sends pairs to the end of their queues, unless they left them meanwhile.
 * @param passed the parameter that holds one of their `passedLists`
 */
export function passOver(passed: string): string {
  return `UPDATE pairs SET passes = passes + 1 FROM json_each(${passed}) passed
    WHERE pairs.rowid = passed.value ->> 0 AND pairs.id = passed.value ->> 1 AND +state IN ('ready', 'trained', 'saturated')`;
}

export function passedLists(pairs: readonly Pick<FoundPair, "row" | "id">[]): string[] {
  return jsonChunks(pairs.map(({ row, id }) => [row, id]));
}

/** Sends these pairs to the end of their queues, whether a round comes of it or not. */
export async function passOverNow(db: D1Database, pairs: readonly FoundPair[]): Promise<void> {
  await db.batch(passedLists(pairs).map((list) => db.prepare(passOver("?1")).bind(list)));
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

/** A line of a round's batch; `conversation` is JSON, null when the line belongs to a later page. */
export interface BatchLine {
  readonly id: string;
  readonly sourceId: string;
  readonly region: string;
  readonly task: string;
  readonly errorType: string;
  readonly level: Level;
  readonly origin: string;
  readonly conversation: string | null;
  readonly chosen: string;
  readonly rejected: string;
  readonly use: "train" | "score";
}

/** At most `limit` lines of the round's batch by id, after the id `after`; none for a holder that is late. */
export async function batchPage(
  db: D1Database,
  holder: Holder,
  page: { readonly now: number; readonly after: string; readonly limit: number },
): Promise<BatchLine[]> {
  const line = (id: string, chosen: string, rejected: string, use: string) =>
    `SELECT ${id} AS id, p.source_id AS sourceId, p.region, s.task, p.error_type AS errorType, p.level, p.origin,
            s.conversation, ${chosen} AS chosen, ${rejected} AS rejected, ${use} AS use,
            length(s.conversation) + length(s.answer) + length(p.rejected) AS chars`;
  const [sentinel, swapped] = ["'sentinel:' || t.pair_id || iif(t.swapped, ':swapped', '')", "t.swapped"];
  const found = await db
    .prepare(
      fittingPage(
        "id, sourceId, region, task, errorType, level, origin, chosen, rejected, use",
        `SELECT * FROM (
           ${line("p.id", "s.answer", "p.rejected", "p.lease_use")} FROM pairs p JOIN sources s ON s.id = p.source_id
           WHERE p.round_id = ?2 AND p.state = 'leased' AND p.id > ?5 AND ${HOLDS} ORDER BY p.id LIMIT ?6
         ) UNION ALL SELECT * FROM (
           ${line(sentinel, `iif(${swapped}, p.rejected, s.answer)`, `iif(${swapped}, s.answer, p.rejected)`, "'score'")}
           FROM sentinel_scores t JOIN pairs p ON p.id = t.pair_id JOIN sources s ON s.id = p.source_id
           WHERE t.round_id = ?2 AND ${sentinel} > ?5 AND ${HOLDS} ORDER BY 1 LIMIT ?6
         ) ORDER BY id LIMIT ?6`,
        "id",
      ),
    )
    .bind(...holderParams(holder, page.now), page.after, page.limit)
    .all<BatchLine>();
  return found.results;
}
