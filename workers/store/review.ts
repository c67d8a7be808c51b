import type { HoldReason } from "../../shared/contracts/ingest.ts";
import { type AuditEntry, auditStatement } from "./audit.ts";
import { sourcesStatement, type Verdict } from "./failures.ts";
import { addMetricsStatement, type MetricRow } from "./metrics.ts";
import { type Counted, countStatements } from "./regions.ts";

/** An event as its row has it; conversation, details and images are JSON. */
export interface FailureRow {
  readonly id: string;
  readonly clientId: string;
  readonly eventId: string;
  readonly kind: "failure" | "pair";
  readonly receivedAt: number;
  readonly occurredAt: number;
  readonly model: string;
  readonly adapter: string | null;
  readonly conversation: string;
  readonly response: string;
  readonly reference: string | null;
  readonly verdict: Verdict;
  readonly region: string;
  readonly details: string | null;
  readonly held: HoldReason | null;
  readonly answeredBy: string | null;
  /** JSON array of hashes that have no image. */
  readonly missingImages: string;
}

const COLUMNS = `f.id, f.client_id AS clientId, f.event_id AS eventId, f.kind, f.received_at AS receivedAt,
  f.occurred_at AS occurredAt, f.model, f.adapter, f.conversation, f.response, f.reference, f.verdict, f.region, f.details,
  f.held, f.answered_by AS answeredBy,
  (SELECT json_group_array(DISTINCT image.value) FROM json_each(f.images) image
    WHERE NOT EXISTS (SELECT 1 FROM images stored WHERE stored.sha256 = image.value)) AS missingImages`;

/** As the partial indexes of the table have it. */
const STATES = {
  waiting: "f.verdict <> 'right' AND f.reference IS NULL AND f.held IS NULL",
  held: "f.held IS NOT NULL",
} as const;

/** At most `limit` events of the state, in the order of their ids, after the id `after`. */
export async function failuresInState(
  db: D1Database,
  state: keyof typeof STATES,
  page: { readonly after: string; readonly limit: number },
): Promise<FailureRow[]> {
  const { results } = await db
    .prepare(`SELECT ${COLUMNS} FROM failures f WHERE ${STATES[state]} AND f.id > ?1 ORDER BY f.id LIMIT ?2`)
    .bind(page.after, page.limit)
    .all<FailureRow>();
  return results;
}

export async function findFailure(db: D1Database, id: string): Promise<FailureRow | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM failures f WHERE f.id = ?1`).bind(id).first<FailureRow>();
}

/** Reports of this client that count per region and tick. */
export async function reportCapOf(db: D1Database, clientId: string): Promise<number> {
  return (
    (await db.prepare("SELECT report_cap FROM clients WHERE id = ?1").bind(clientId).first<number>("report_cap")) ?? 0
  );
}

export interface Answer {
  readonly id: string;
  readonly reference: string;
  readonly verdict: Verdict;
  readonly region: string;
  readonly split: string | null;
  readonly polarity: string | null;
  readonly answeredBy: string;
}

/**
 * Gives a waiting event its right answer, makes its source and counts it, if it was not counted before; all or nothing.
 * @returns false when it does not wait any more
 */
export async function storeAnswer(
  db: D1Database,
  answer: Answer,
  counted: Counted | null,
  audit: AuditEntry,
): Promise<boolean> {
  return unlessRefused(() =>
    db.batch([
      // A row of nothing but an id is refused, and with it the whole batch, when the event is gone or does not wait any more.
      db
        .prepare(
          `INSERT INTO failures (id) SELECT ?1
           WHERE NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = ?1 AND ${STATES.waiting})`,
        )
        .bind(answer.id),
      db
        .prepare(
          `UPDATE failures SET reference = ?2, verdict = ?3, region = ?4, split = ?5, polarity = ?6, answered_by = ?7
           WHERE id = ?1`,
        )
        .bind(
          answer.id,
          answer.reference,
          answer.verdict,
          answer.region,
          answer.split,
          answer.polarity,
          answer.answeredBy,
        ),
      ...countStatements(db, counted ? [counted] : []),
      sourcesStatement(db, answer.id, answer.id),
      auditStatement(db, audit),
    ]),
  );
}

/** What a teacher may be asked, and what it costs an event to be taken. */
export interface Take {
  readonly limit: number;
  /** Events with as many attempts are left to people. */
  readonly attemptsMax: number;
  /** Attempts that taking counts as, so that the others come first next time even if this run dies. */
  readonly attempt: number;
}

/** Takes waiting events for a teacher, those with the fewest attempts first, then the oldest. */
export async function takeForTeacher(db: D1Database, { limit, attemptsMax, attempt }: Take): Promise<FailureRow[]> {
  const takeable = `f.id FROM failures f
    WHERE ${STATES.waiting} AND f.teacher_attempts < ?1 ORDER BY f.teacher_attempts, f.id LIMIT ?2`;
  const [taken] = await db.batch<FailureRow>([
    db
      .prepare(`SELECT ${COLUMNS} FROM (SELECT ${takeable}) taken CROSS JOIN failures f ON f.id = taken.id`)
      .bind(attemptsMax, limit),
    db
      .prepare(`UPDATE failures SET teacher_attempts = teacher_attempts + ?3 WHERE id IN (SELECT ${takeable})`)
      .bind(attemptsMax, limit, attempt),
  ]);
  return taken?.results ?? [];
}

/** Adds to the attempts of events, and to counters. */
export async function noteAttempts(
  db: D1Database,
  attempts: readonly { readonly id: string; readonly add: number }[],
  metrics: readonly MetricRow[],
): Promise<void> {
  await db.batch([
    db
      .prepare(
        `UPDATE failures SET teacher_attempts = teacher_attempts + (noted.value ->> 'add')
         FROM json_each(?1) noted WHERE failures.id = noted.value ->> 'id'`,
      )
      .bind(JSON.stringify(attempts)),
    addMetricsStatement(db, metrics),
  ]);
}

/** An event that is held, with what it will count as. */
export interface HeldFailure {
  readonly id: string;
  readonly clientId: string;
  readonly reportCap: number;
  readonly verdict: Verdict;
  /** Whether nobody told its error type: 1 or 0. */
  readonly inferred: number;
  readonly region: string;
}

export async function heldFailures(db: D1Database, reason: HoldReason, limit: number): Promise<HeldFailure[]> {
  const { results } = await db
    .prepare(
      `SELECT f.id, f.client_id AS clientId, c.report_cap AS reportCap, f.verdict,
              coalesce(f.details ->> 'errorTypeInferred', 0) AS inferred, f.region
       FROM failures f JOIN clients c ON c.id = f.client_id WHERE f.held = ?1 ORDER BY f.id LIMIT ?2`,
    )
    .bind(reason, limit)
    .all<HeldFailure>();
  return results;
}

/**
 * Lets held events count, and makes their sources; all or nothing.
 * @returns false when one of them is not held any more
 */
export async function storeRelease(db: D1Database, held: readonly HeldFailure[], audit: AuditEntry): Promise<boolean> {
  const counted = held
    .filter(({ verdict }) => verdict !== "unjudged")
    .map(({ clientId, reportCap, verdict, inferred, region }) => ({
      clientId,
      reportCap,
      wrong: verdict === "wrong",
      tagged: inferred === 0,
      region,
    }));
  return unlessRefused(() =>
    db.batch([
      db
        .prepare(
          `UPDATE failures SET kind = iif(held IS NULL, 'released', kind), held = NULL
           WHERE id IN (SELECT value FROM json_each(?1))`,
        )
        .bind(JSON.stringify(held.map(({ id }) => id))),
      ...countStatements(db, counted),
      ...held.map(({ id }) => sourcesStatement(db, id, id)),
      auditStatement(db, audit),
    ]),
  );
}

/** How the table `failures` refuses a batch that came too late. */
const REFUSED = /CHECK constraint failed: kind|NOT NULL constraint failed: failures\./;

async function unlessRefused(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (error instanceof Error && REFUSED.test(error.message)) return false;
    throw error;
  }
}

/** Events that wait for an answer, and those held, by reason. Reads the partial indexes only. */
export async function countByState(db: D1Database) {
  const [waiting, held] = await db.batch<{ reason: HoldReason | null; n: number }>([
    db.prepare(`SELECT NULL AS reason, count(*) AS n FROM failures f WHERE ${STATES.waiting}`),
    db.prepare(`SELECT held AS reason, count(*) AS n FROM failures f WHERE ${STATES.held} GROUP BY held`),
  ]);
  return { waiting: waiting?.results[0]?.n ?? 0, held: held?.results ?? [] };
}
