import type { AuditEntry } from "./audit.ts";
import { auditWhen, type Guard } from "./guard.ts";
import { AT_HOME } from "./pair-moves.ts";

/** As SQL; the second part lets the index of open checks be used. */
const QUEUED = "state = 'queued' AND state <> 'done'";

/** A doubted pair that a model is to be asked about. `conversation` is JSON. */
export interface QueuedRecheck {
  readonly id: string;
  readonly pairId: string;
  /** With the one that taking it began. */
  readonly attempts: number;
  readonly conversation: string;
  readonly chosen: string;
  readonly rejected: string;
}

/**
 * Takes queued checks, those with the fewest attempts first, then the oldest. Taking is an attempt: so the others come first next
 * time even if this run dies.
 */
export async function takeRechecks(db: D1Database, limit: number): Promise<QueuedRecheck[]> {
  const takeable = `SELECT id FROM rechecks WHERE ${QUEUED} ORDER BY attempts, created_at, id LIMIT ?1`;
  const [taken] = await db.batch<QueuedRecheck>([
    db
      .prepare(
        `SELECT k.id, k.pair_id AS pairId, k.attempts + 1 AS attempts, s.conversation, s.answer AS chosen, p.rejected
         FROM (${takeable}) taken CROSS JOIN rechecks k ON k.id = taken.id
         CROSS JOIN pairs p ON p.id = k.pair_id CROSS JOIN sources s ON s.id = p.source_id`,
      )
      .bind(limit),
    db.prepare(`UPDATE rechecks SET attempts = attempts + 1 WHERE id IN (${takeable})`).bind(limit),
  ]);
  return taken?.results ?? [];
}

/** Takes an attempt back that was none: nobody was asked. */
export async function untakeRecheck(db: D1Database, id: string): Promise<void> {
  await db.prepare("UPDATE rechecks SET attempts = attempts - 1 WHERE id = ?1 AND state = 'queued'").bind(id).run();
}

/**
 * Ends a check: a valid pair goes back to where it belongs, an invalid one is rejected.
 * @param audit its subject is the pair
 * @returns false when the check was ended before; nothing has changed then
 */
export async function decideRecheck(
  db: D1Database,
  id: string,
  verdict: "valid" | "invalid",
  reason: string,
  audit: AuditEntry,
): Promise<boolean> {
  const open: Guard = { sql: "EXISTS (SELECT 1 FROM rechecks WHERE id = ?1 AND state = 'queued')", params: [id] };
  const [, , decided] = await db.batch([
    auditWhen(db, open, audit),
    db
      .prepare(
        `UPDATE pairs SET state = iif(?2 = 'valid', ${AT_HOME}, 'rejected'), state_reason = ?3, state_at = ?4,
                high_streak = 0, low_streak = 0
         WHERE id = (SELECT pair_id FROM rechecks WHERE id = ?1) AND state = 'quarantined' AND ${open.sql}`,
      )
      .bind(id, verdict, reason, audit.at),
    db
      .prepare(
        `UPDATE rechecks SET state = 'done', verdict = ?2, judge = ?3, reason = ?4, finished_at = ?5
         WHERE id = ?1 AND state = 'queued'`,
      )
      .bind(id, verdict, audit.actor, reason, audit.at),
  ]);
  return decided?.meta.changes === 1;
}

/** Leaves a queued check to people. @param judge who could not decide, if somebody was asked */
export async function leaveToPeople(db: D1Database, id: string, reason: string, judge: string | null): Promise<void> {
  await db
    .prepare("UPDATE rechecks SET state = 'waiting', reason = ?2, judge = ?3 WHERE id = ?1 AND state = 'queued'")
    .bind(id, reason, judge)
    .run();
}

/** Leaves queued checks to people, the oldest first. @returns how many */
export async function leaveAllToPeople(db: D1Database, reason: string, limit: number): Promise<number> {
  const left = await db
    .prepare(
      `UPDATE rechecks SET state = 'waiting', reason = ?1 WHERE id IN (
         SELECT id FROM rechecks WHERE ${QUEUED} ORDER BY created_at LIMIT ?2)`,
    )
    .bind(reason, limit)
    .run();
  return left.meta.changes;
}
