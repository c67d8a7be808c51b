/** Who speaks for a claimed round: the round, its lease, and the fence that the holder was given. */
export interface Holder {
  readonly roundId: string;
  readonly leaseId: string;
  readonly fence: number;
}

/**
 * True while the holder may write. It stands inside the statement that writes, so nothing can come between check and write.
 * It takes ?1 lease, ?2 round, ?3 fence, ?4 now: see `holderParams`.
 */
export const HOLDS = `EXISTS (SELECT 1 FROM leases
  WHERE id = ?1 AND round_id = ?2 AND fence = ?3 AND state = 'live' AND expires_at > ?4)`;

/** What `HOLDS` is bound to, in order. `now` in ms. */
export function holderParams(holder: Holder, now: number): [string, string, number, number] {
  return [holder.leaseId, holder.roundId, holder.fence, now];
}

/** What sends a leased pair back to the state it came from. */
export const GO_HOME = "state = home, home = NULL, lease_use = NULL";

/**
 * Ends every lease whose time is up: its pairs are where they came from, its round is expired.
 * @returns how many leases ended
 */
export async function expireLeases(db: D1Database, now: number): Promise<number> {
  const late = "(SELECT round_id FROM leases WHERE state = 'live' AND expires_at <= ?1)";
  const [, , leases] = await db.batch([
    db.prepare(`UPDATE pairs SET ${GO_HOME} WHERE state = 'leased' AND round_id IN ${late}`).bind(now),
    db
      .prepare(`UPDATE rounds SET state = 'expired', finished_at = ?1 WHERE state = 'claimed' AND id IN ${late}`)
      .bind(now),
    db.prepare("UPDATE leases SET state = 'expired' WHERE state = 'live' AND expires_at <= ?1").bind(now),
  ]);
  return leases?.meta.changes ?? 0;
}

/** A live lease of a trainer, with what its round needs to go on. */
export interface LiveLease {
  readonly id: string;
  readonly roundId: string;
  readonly fence: number;
  readonly policyVersion: number;
  /** JSON */
  readonly policy: string;
  readonly reference: string | null;
  readonly pairs: number;
  readonly batchSha256: string;
}

/** The live lease of this trainer, if it has one. */
export async function liveLeaseOf(db: D1Database, trainer: string, now: number): Promise<LiveLease | null> {
  return db
    .prepare(
      `SELECT l.id, l.round_id AS roundId, l.fence, r.policy_version AS policyVersion, p.document AS policy,
              r.reference_adapter AS reference, r.pairs, r.batch_sha256 AS batchSha256
       FROM leases l JOIN rounds r ON r.id = l.round_id JOIN policies p ON p.version = r.policy_version
       WHERE l.state = 'live' AND l.expires_at > ?2 AND l.trainer = ?1`,
    )
    .bind(trainer, now)
    .first<LiveLease>();
}

/**
 * Hands a live lease to a new holder: the fence grows, so that the holder before can write no more.
 * @returns false when the lease changed hands or ended meanwhile
 */
export async function takeOver(db: D1Database, holder: Holder, now: number, expiresAt: number): Promise<boolean> {
  const taken = await db
    .prepare(
      `UPDATE leases SET fence = fence + 1, expires_at = ?5
       WHERE id = ?1 AND round_id = ?2 AND fence = ?3 AND state = 'live' AND expires_at > ?4`,
    )
    .bind(...holderParams(holder, now), expiresAt)
    .run();
  return taken.meta.changes === 1;
}

/**
 * Extends the lease and stores the round's progress (JSON).
 * @returns false when the holder is late; nothing has changed then
 */
export async function heartbeat(
  db: D1Database,
  holder: Holder,
  beat: { readonly now: number; readonly expiresAt: number; readonly progress: string },
): Promise<boolean> {
  const params = holderParams(holder, beat.now);
  const [progress] = await db.batch([
    db.prepare(`UPDATE rounds SET progress = ?5 WHERE id = ?2 AND ${HOLDS}`).bind(...params, beat.progress),
    db.prepare(`UPDATE leases SET expires_at = ?5 WHERE id = ?1 AND ${HOLDS}`).bind(...params, beat.expiresAt),
  ]);
  return progress?.meta.changes === 1;
}

/**
 * Gives the round up: its pairs are where they came from, the reason stays with the round. Doing so twice is the same as once.
 * @returns false when the holder is late; nothing has changed then
 */
export async function release(db: D1Database, holder: Holder, now: number, reason: string): Promise<boolean> {
  const params = holderParams(holder, now);
  const [, , , released] = await db.batch([
    db.prepare(`UPDATE pairs SET ${GO_HOME} WHERE round_id = ?2 AND state = 'leased' AND ${HOLDS}`).bind(...params),
    db
      .prepare(
        `UPDATE rounds SET state = 'released', finished_at = ?4, progress = json_set(progress, '$.released', ?5)
         WHERE id = ?2 AND ${HOLDS}`,
      )
      .bind(...params, reason),
    db.prepare(`UPDATE leases SET state = 'closed' WHERE id = ?1 AND ${HOLDS}`).bind(...params),
    db
      .prepare(
        `SELECT 1 FROM leases l JOIN rounds r ON r.id = l.round_id
         WHERE l.id = ?1 AND r.id = ?2 AND l.fence = ?3 AND r.state = 'released'`,
      )
      .bind(holder.leaseId, holder.roundId, holder.fence),
  ]);
  return (released?.results.length ?? 0) > 0;
}
