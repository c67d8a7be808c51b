import type { PairState } from "../../shared/contracts/operator.ts";
import type { PairsPolicy } from "../../shared/contracts/policy.ts";
import { DAY_MS } from "../../shared/time.ts";
import type { AuditEntry } from "./audit.ts";

/** Pairs that expire in one call at most. */
const EXPIRED_AT_ONCE = 1_000;

/** Where a pair belongs that nothing speaks against, as SQL. */
export const AT_HOME = "iif(trainings = 0, 'ready', 'trained')";

/** From which states an operator can move pairs, and where to. */
const MOVES = {
  quarantine: { from: ["ready", "trained", "saturated", "parked", "expired"], to: "'quarantined'" },
  restore: { from: ["quarantined", "parked", "expired"], to: AT_HOME },
  reject: { from: ["ready", "trained", "saturated", "quarantined", "parked", "expired"], to: "'rejected'" },
} as const satisfies Record<string, { readonly from: readonly PairState[]; readonly to: string }>;
export type Move = keyof typeof MOVES;

/** A pair that somebody wanted to move, as it was before. */
export interface MovedPair {
  readonly id: string;
  readonly state: PairState;
  readonly sentinel: 0 | 1;
  readonly moved: 0 | 1;
}

/**
 * Moves those of the pairs that the move can begin from, each with its audit entry; sentinels stay where they are. A doubt makes a
 * check; any other move ends the one that is open, with the operator's verdict.
 * @param audit its subject is the pair's id, its details also tell the state before
 * @returns the pairs that exist
 */
export async function movePairs(
  db: D1Database,
  ids: readonly string[],
  move: Move,
  reason: string,
  audit: Pick<AuditEntry, "actor" | "at">,
): Promise<MovedPair[]> {
  const wanted = JSON.stringify(ids);
  const { from, to } = MOVES[move];
  const { actor, at } = audit;
  const movable = `p.sentinel = 0 AND p.state IN (${from.map((state) => `'${state}'`).join(", ")})`;
  const [found] = await db.batch<MovedPair>([
    db
      .prepare(
        `SELECT p.id, p.state, p.sentinel, ${movable} AS moved FROM json_each(?1) asked CROSS JOIN pairs p ON p.id = asked.value`,
      )
      .bind(wanted),
    db
      .prepare(
        `INSERT INTO audit_log (at, actor, action, subject, details)
         SELECT ?2, ?3, ?4, p.id, json_object('reason', ?5, 'from', p.state)
         FROM json_each(?1) asked CROSS JOIN pairs p ON p.id = asked.value WHERE ${movable}`,
      )
      .bind(wanted, at, actor, `pair.${move}`, reason),
    db
      .prepare(
        `UPDATE pairs AS p SET state = ${to}, state_reason = ?2, state_at = ?3, high_streak = 0, low_streak = 0
         WHERE p.id IN (SELECT value FROM json_each(?1)) AND ${movable}`,
      )
      .bind(wanted, reason, at),
    move === "quarantine" ? doubts(db, wanted, reason, at) : verdicts(db, wanted, move, reason, audit),
  ]);
  return found?.results ?? [];
}

/** Of the pairs that are quarantined, each has one open check: those that have none yet were moved just now. */
function doubts(db: D1Database, wanted: string, why: string, at: number): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO rechecks (id, pair_id, state, why, created_at)
       SELECT lower(hex(randomblob(16))), p.id, 'queued', ?2, ?3
       FROM json_each(?1) asked CROSS JOIN pairs p ON p.id = asked.value AND p.state = 'quarantined'
       WHERE NOT EXISTS (SELECT 1 FROM rechecks k WHERE k.pair_id = p.id AND k.state <> 'done')`,
    )
    .bind(wanted, why, at);
}

/** A check that is open while its pair is not quarantined was ended just now. */
function verdicts(
  db: D1Database,
  wanted: string,
  move: Exclude<Move, "quarantine">,
  reason: string,
  { actor, at }: Pick<AuditEntry, "actor" | "at">,
): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE rechecks SET state = 'done', verdict = ?2, judge = ?3, reason = ?4, finished_at = ?5
       WHERE state <> 'done' AND pair_id IN (
         SELECT p.id FROM json_each(?1) asked CROSS JOIN pairs p ON p.id = asked.value AND p.state <> 'quarantined')`,
    )
    .bind(wanted, move === "restore" ? "valid" : "invalid", actor, reason, at);
}

/**
 * Ends the wait of pairs that were never trained on and are older than the policy lets them be: the oldest first, a bounded
 * number at once. They can be restored.
 * @returns how many
 */
export async function expirePairs(
  db: D1Database,
  { pairs: { expireAfterDays } }: { readonly pairs: Pick<PairsPolicy, "expireAfterDays"> },
  now: number,
): Promise<number> {
  const { results } = await db
    .prepare(
      `UPDATE pairs SET state = 'expired', state_reason = ?3, state_at = ?2 WHERE id IN (
         SELECT id FROM pairs INDEXED BY pairs_age
         WHERE state = 'ready' AND trainings = 0 AND state_at < ?1 ORDER BY state_at LIMIT ?4)
       RETURNING id`,
    )
    .bind(now - expireAfterDays * DAY_MS, now, `not trained on within ${expireAfterDays} days`, EXPIRED_AT_ONCE)
    .all();
  return results.length;
}
