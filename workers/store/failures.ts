import { toHex } from "../http/hash.ts";
import { jsonArrays } from "./chunks.ts";
import { isUniqueViolation, retryWrite } from "./db.ts";
import { type Counted, countStatements } from "./regions.ts";

export type Verdict = "wrong" | "right" | "unjudged";

/** One event, judged and classified. */
export interface NewFailure {
  readonly eventId: string;
  /** Of everything the client sent; two events with one id are the same when it is. */
  readonly contentSha256: string;
  readonly verdict: Verdict;
  readonly region: string;
  /** The client told the error type. */
  readonly tagged: boolean;
  /** It counts for nothing yet and makes no source. */
  readonly held: boolean;
  /** The columns of its row after `received_at`, as JSON without the brackets. */
  readonly columns: string;
}

/** The events of one request. */
export interface Submission {
  readonly clientId: string;
  /** Wrong answers of this client that count per region and tick. */
  readonly reportCap: number;
  /** ms */
  readonly receivedAt: number;
  /** Without two of one id. */
  readonly events: readonly NewFailure[];
}

/** What is known of an event after the commit. `conflict`: other content stands under its id. */
export type StoredState = "stored" | "duplicate" | "conflict";

/** The columns of `failures` that `NewFailure.columns` holds, in this order. */
export interface FailureColumns {
  readonly kind: "failure" | "pair";
  /** ms */
  readonly occurredAt: number;
  readonly model: string;
  readonly adapter: string | null;
  readonly conversation: unknown;
  readonly response: string;
  /** The right answer, as far as it was told. */
  readonly reference: string | null;
  readonly verdict: Verdict;
  readonly region: string;
  readonly details: unknown;
  readonly held: string | null;
  readonly images: readonly string[];
  /** Null when the right answer is not known. */
  readonly split: string | null;
  readonly polarity: "yes" | "no" | null;
}

/** `NewFailure.columns`: the values in the order in which `INSERT` reads them. */
export function columnsOf(row: FailureColumns): string {
  return JSON.stringify([
    row.kind,
    row.occurredAt,
    row.model,
    row.adapter,
    JSON.stringify(row.conversation),
    row.response,
    row.reference,
    row.verdict,
    row.region,
    row.details === null ? null : JSON.stringify(row.details),
    row.held,
    JSON.stringify(row.images),
    row.split,
    row.polarity,
  ]).slice(1, -1);
}

/** `jsonb_each` hands each row on as it was parsed; `json_each` would write it down again, to be parsed for every column. */
const INSERT = `INSERT INTO failures (id, client_id, received_at, event_id, content_sha256, kind, occurred_at, model, adapter,
    conversation, response, reference, verdict, region, details, held, images, split, polarity)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
         value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16,
         value ->> 17, value ->> 18
  FROM jsonb_each(?1)`;

/** Attempts at a commit that others keep overtaking; each one knows of more events that stand already. */
const ATTEMPTS = 5;

/**
 * Stores events with their sources and statistics in one transaction, all or none. It is written for the common case that all
 * events are new: if one is not, the unique key of client and event id refuses the transaction, and it is tried again without
 * those that stand already. So an event counts once however often and however concurrently it is sent, and the whole call may
 * be repeated after a lost answer.
 * @param also statements that belong into the same transaction: limits, metrics
 * @returns one state per event of each submission
 * @throws what D1 throws, except that an id is taken
 */
export async function storeFailures(
  db: D1Database,
  submissions: readonly Submission[],
  also: readonly D1PreparedStatement[],
): Promise<StoredState[][]> {
  const placed = submissions.map((submission) =>
    submission.events.map((event): Placed => ({ submission, event, name: nameOf(submission.clientId, event.eventId) })),
  );
  const first = firstOfEachName(placed.flat());
  const standing = new Map<string, Standing>();
  const ours = new Set<string>();
  for (let attempt = 1; ; attempt++) {
    const fresh = standing.size === 0 ? first : first.filter(({ name }) => !standing.has(name));
    const ids = newIds(fresh.length, Date.now());
    try {
      await retryWrite(() => commit(db, fresh, ids, also));
      for (const one of fresh) standing.set(one.name, { contentSha256: one.event.contentSha256, by: one });
      return placed.map((events) => events.map((one) => stateOf(one, standing)));
    } catch (error) {
      if (attempt === ATTEMPTS || !isUniqueViolation(error)) throw error;
      for (const id of ids) ours.add(id);
      for (const { name, id, contentSha256 } of await findStanding(db, fresh)) {
        // A row with an id of ours is our own commit, whose answer was lost.
        const by = ours.has(id) ? (fresh.find((one) => one.name === name) ?? null) : null;
        standing.set(name, { contentSha256, by });
      }
    }
  }
}

interface Placed {
  readonly submission: Submission;
  readonly event: NewFailure;
  /** One for each client and event id. */
  readonly name: string;
}

/** What stands under a name, and which of our events stored it. */
interface Standing {
  readonly contentSha256: string;
  readonly by: Placed | null;
}

function nameOf(clientId: string, eventId: string): string {
  return `${clientId}\n${eventId}`;
}

/** Two requests of one moment may hold the same event: the first is the one to store. */
function firstOfEachName(events: readonly Placed[]): readonly Placed[] {
  const seen = new Set<string>();
  return events.filter(({ name }) => {
    const isFirst = !seen.has(name);
    seen.add(name);
    return isFirst;
  });
}

function stateOf(one: Placed, standing: ReadonlyMap<string, Standing>): StoredState {
  const row = standing.get(one.name);
  if (row?.by === one) return "stored";
  return row?.contentSha256 === one.event.contentSha256 ? "duplicate" : "conflict";
}

async function commit(
  db: D1Database,
  fresh: readonly Placed[],
  ids: readonly string[],
  also: readonly D1PreparedStatement[],
): Promise<void> {
  const [first, last] = [ids[0], ids.at(-1)];
  if (first === undefined || last === undefined) {
    if (also.length > 0) await db.batch([...also]);
    return;
  }
  const rows = fresh.map(
    ({ submission, event }, index) =>
      `["${ids[index]}","${submission.clientId}",${submission.receivedAt},${JSON.stringify(event.eventId)},"${event.contentSha256}",${event.columns}]`,
  );
  await db.batch([
    ...also,
    ...countStatements(db, countedOf(fresh)),
    ...jsonArrays(rows).map((json) => db.prepare(INSERT).bind(json)),
    sourcesStatement(db, first, last),
  ]);
}

/** Judged events that are not held count in their regions. */
function countedOf(fresh: readonly Placed[]): Counted[] {
  const judged = fresh.filter(({ event }) => event.verdict !== "unjudged" && !event.held);
  return judged.map(({ submission, event }) => ({
    clientId: submission.clientId,
    reportCap: submission.reportCap,
    wrong: event.verdict === "wrong",
    tagged: event.tagged,
    region: event.region,
  }));
}

/** The sources of the events with ids from `first` to `last`: those whose right answer is known and that are not held. */
export function sourcesStatement(db: D1Database, first: string, last: string): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO sources (id, failure_id, images, split, conversation, answer, own_answer, task, error_type, language,
                            modality, polarity, created_at)
       SELECT f.id, f.id, f.images, f.split, f.conversation, COALESCE(f.reference, f.response),
              CASE f.verdict WHEN 'wrong' THEN f.response END, r.task, r.error_type, r.language, r.modality, f.polarity,
              f.received_at
       FROM failures f CROSS JOIN regions r ON r.key = f.region
       WHERE f.id BETWEEN ?1 AND ?2 AND f.split IS NOT NULL AND f.held IS NULL
       ON CONFLICT DO NOTHING`,
    )
    .bind(first, last);
}

async function findStanding(db: D1Database, events: readonly Placed[]) {
  const asked = events.map(({ submission, event }) => JSON.stringify([submission.clientId, event.eventId]));
  const found = await db.batch<{ id: string; clientId: string; eventId: string; contentSha256: string }>(
    jsonArrays(asked).map((json) =>
      db
        .prepare(
          `SELECT f.id, f.client_id AS clientId, f.event_id AS eventId, f.content_sha256 AS contentSha256
           FROM json_each(?1) asked
           CROSS JOIN failures f ON f.client_id = asked.value ->> 0 AND f.event_id = asked.value ->> 1`,
        )
        .bind(json),
    ),
  );
  return found.flatMap(({ results }) =>
    results.map(({ clientId, eventId, ...row }) => ({ ...row, name: nameOf(clientId, eventId) })),
  );
}

const TIME_HEX_DIGITS = 12;
const RANDOM_BYTES = 6;
const INDEX_HEX_DIGITS = 5;

/**
 * Ids of events that come to be now, in order: 't', the time, a random part, the place in the group. Rows and their indexes
 * grow at the end, so a full table is as fast as an empty one. (Older ids are hexadecimal hashes and stand before 't'.)
 */
export function newIds(count: number, nowMs: number): string[] {
  const unique = toHex(crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)));
  const prefix = `t${nowMs.toString(16).padStart(TIME_HEX_DIGITS, "0")}${unique}`;
  return Array.from({ length: count }, (_, index) => prefix + index.toString(16).padStart(INDEX_HEX_DIGITS, "0"));
}

/** The least id that an event can have that came to be at this time; ms. */
export function leastIdAt(timeMs: number): string {
  return `t${Math.max(0, timeMs).toString(16).padStart(TIME_HEX_DIGITS, "0")}`;
}
