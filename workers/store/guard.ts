import type { AuditEntry } from "./audit.ts";

/**
 * A condition that every statement of a batch carries, so that the batch changes all or nothing. Its parameters come first:
 * ?1 to ?n; a statement's own begin at ?n+1.
 */
export interface Guard {
  readonly sql: string;
  readonly params: readonly (string | number | null)[];
}

/** The audit entry of a guarded change: written when the change is. */
export function auditWhen(db: D1Database, guard: Guard, entry: AuditEntry): D1PreparedStatement {
  const own = [entry.at, entry.actor, entry.action, entry.subject, JSON.stringify(entry.details)];
  const places = own.map((_, index) => `?${guard.params.length + index + 1}`).join(", ");
  return db
    .prepare(`INSERT INTO audit_log (at, actor, action, subject, details) SELECT ${places} WHERE ${guard.sql}`)
    .bind(...guard.params, ...own);
}
