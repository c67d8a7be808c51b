import type { Conversation } from "../../shared/contracts/common.ts";
import type { Split } from "../../shared/taxonomy/split.ts";
import { type Region, regionKey } from "../../shared/taxonomy/taxonomy.ts";
import { retryWrite } from "./db.ts";
import { countEvents } from "./regions.ts";

/** One event, judged and classified. */
export interface NewFailure {
  readonly id: string;
  readonly eventId: string;
  readonly contentSha256: string;
  /** ms */
  readonly occurredAt: number;
  readonly model: string;
  readonly adapter: string | null;
  readonly conversation: Conversation;
  readonly response: string;
  /** The right answer, as far as it was told. */
  readonly reference: string | null;
  readonly verdict: "wrong" | "right" | "unjudged";
  readonly region: Region;
  /** When its right answer is known: the reference, or a right response. */
  readonly source: {
    readonly images: readonly string[];
    readonly split: Split;
    readonly polarity: "yes" | "no" | null;
  } | null;
}

export interface FailureBatch {
  readonly clientId: string;
  /** Wrong answers of one client that count per region and tick. */
  readonly reportCap: number;
  /** ms */
  readonly receivedAt: number;
  /** Without two of one id. */
  readonly failures: readonly NewFailure[];
}

export interface StoredState {
  /** Of what stands under this id, from now or from before. */
  readonly contentSha256: string;
  /** This batch stored it. */
  readonly fresh: boolean;
}

/**
 * Stores events with their sources and statistics in one transaction. The statistics come first and count only events that
 * are not stored yet: that decides, inside the transaction, what is new, so an event counts once however often and however
 * concurrently it is sent. For the same reason the whole write can be repeated after a lost answer.
 * @returns the state of every id
 */
export async function storeFailures(db: D1Database, batch: FailureBatch): Promise<Map<string, StoredState>> {
  const marks = JSON.stringify(batch.failures.map(toMark));
  const rows = JSON.stringify(batch.failures.map(toRow));
  const results = await retryWrite(() =>
    db.batch<{ id: string; content_sha256: string }>([
      ...countEvents(db, { ...batch, marks }),
      insertFailures(db, batch, rows),
      insertSources(db, batch, marks),
      db
        .prepare("SELECT id, content_sha256 FROM failures WHERE id IN (SELECT value ->> 'id' FROM json_each(?1))")
        .bind(marks),
    ]),
  );
  const inserted = new Set(results.at(-3)?.results.map((row) => row.id));
  const standing = results.at(-1)?.results ?? [];
  return new Map(
    standing.map((row) => [row.id, { contentSha256: row.content_sha256, fresh: inserted.has(row.id) }] as const),
  );
}

/** What the statistics and the sources need: everything but the texts, which are bound once only. */
function toMark(failure: NewFailure) {
  return {
    id: failure.id,
    content: failure.contentSha256,
    verdict: failure.verdict,
    region: regionKey(failure.region),
    ...failure.region,
    ...failure.source,
  };
}

function toRow(failure: NewFailure) {
  const { source: _, region, ...columns } = failure;
  return { ...columns, region: regionKey(region) };
}

function insertFailures(db: D1Database, batch: FailureBatch, rows: string): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO failures (id, client_id, event_id, content_sha256, received_at, occurred_at, model, adapter,
                             conversation, response, reference, verdict, region)
       SELECT value ->> 'id', ?2, value ->> 'eventId', value ->> 'contentSha256', ?3, value ->> 'occurredAt',
              value ->> 'model', value ->> 'adapter', value -> 'conversation', value ->> 'response',
              value ->> 'reference', value ->> 'verdict', value ->> 'region'
       FROM json_each(?1) WHERE true
       ON CONFLICT DO NOTHING
       RETURNING id, content_sha256`,
    )
    .bind(rows, batch.clientId, batch.receivedAt);
}

/** An event that conflicts with the stored one makes no source: the contents are compared. */
function insertSources(db: D1Database, batch: FailureBatch, marks: string): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO sources (id, failure_id, images, split, conversation, answer, own_answer, task, error_type, language,
                            modality, polarity, created_at)
       SELECT f.id, f.id, m.value -> 'images', m.value ->> 'split', f.conversation, COALESCE(f.reference, f.response),
              CASE f.verdict WHEN 'wrong' THEN f.response END, m.value ->> 'task', m.value ->> 'errorType',
              m.value ->> 'language', m.value ->> 'modality', m.value ->> 'polarity', ?2
       FROM json_each(?1) m
       JOIN failures f ON f.id = m.value ->> 'id' AND f.content_sha256 = m.value ->> 'content'
       WHERE m.value ->> 'split' IS NOT NULL
       ON CONFLICT DO NOTHING`,
    )
    .bind(marks, batch.receivedAt);
}
