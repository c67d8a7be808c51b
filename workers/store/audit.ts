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
