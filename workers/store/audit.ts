/** One change that somebody answers for. `actor` is `actorName(actor)`; `details` must hold no secret. */
export interface AuditEntry {
  readonly actor: string;
  /** What was done: `policy.set`, `key.create`. */
  readonly action: string;
  /** To what: an id, a version. */
  readonly subject: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** ms */
  readonly at: number;
}

/** The statement that records the change: it goes into the batch that makes it, so that neither happens alone. */
export function auditStatement(db: D1Database, entry: AuditEntry): D1PreparedStatement {
  return db
    .prepare("INSERT INTO audit_log (at, actor, action, subject, details) VALUES (?1, ?2, ?3, ?4, ?5)")
    .bind(entry.at, entry.actor, entry.action, entry.subject, JSON.stringify(entry.details));
}

/** An entry as it is stored. */
export interface StoredAuditEntry extends AuditEntry {
  readonly id: number;
}

/** At most `limit` entries below the id `before` whose action begins with `action`, the newest first. */
export async function listAudit(
  db: D1Database,
  { before, limit, action }: { readonly before: number; readonly limit: number; readonly action: string },
): Promise<StoredAuditEntry[]> {
  const { results } = await db
    .prepare(
      `SELECT id, at, actor, action, subject, details FROM audit_log
       WHERE id < ?1 AND substr(action, 1, length(?2)) = ?2 ORDER BY id DESC LIMIT ?3`,
    )
    .bind(before, action, limit)
    .all<Omit<StoredAuditEntry, "details"> & { readonly details: string }>();
  return results.map((row) => ({ ...row, details: JSON.parse(row.details) }));
}
