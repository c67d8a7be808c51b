import type { AuditEntry } from "./audit.ts";
import { auditWhen, type Guard } from "./guard.ts";

/** A stored adapter. */
export interface AdapterRow {
  readonly sha256: string;
  readonly bytes: number;
  readonly state: "uploaded" | "candidate" | "champion" | "previous" | "rejected";
}

export async function findAdapter(db: D1Database, sha256: string): Promise<AdapterRow | null> {
  return db.prepare("SELECT sha256, bytes, state FROM adapters WHERE sha256 = ?1").bind(sha256).first<AdapterRow>();
}

/** Records that the adapter's bytes are stored; again is the same as once. */
/** Adapters seen here; what is stored stays. */
const known = new Set<string>();
const KNOWN_MAX = 1_000;

/** Whether this adapter was ever uploaded. Asked for every event, so the answer yes is remembered. */
export async function isKnownAdapter(db: D1Database, sha256: string): Promise<boolean> {
  if (known.has(sha256)) return true;
  if (!(await findAdapter(db, sha256))) return false;
  if (known.size >= KNOWN_MAX) known.clear();
  known.add(sha256);
  return true;
}

export async function insertAdapter(db: D1Database, sha256: string, bytes: number, now: number): Promise<void> {
  await db
    .prepare(
      "INSERT INTO adapters (sha256, bytes, created_at, state) VALUES (?1, ?2, ?3, 'uploaded') ON CONFLICT DO NOTHING",
    )
    .bind(sha256, bytes, now)
    .run();
}

/** The two pointers. A null adapter is the base model; there is nothing to go back to while `previousSet` is false. */
export interface Pointers {
  readonly champion: string | null;
  readonly roundId: string | null;
  readonly updatedAt: number;
  readonly previous: string | null;
  readonly previousRoundId: string | null;
  readonly previousSet: boolean;
}

export async function readPointers(db: D1Database): Promise<Pointers> {
  const row = await db
    .prepare(
      `SELECT c.adapter AS champion, c.round_id AS roundId, c.updated_at AS updatedAt, p.adapter AS previous,
              p.round_id AS previousRoundId, p.updated_at > 0 AS previousSet
       FROM pointers c JOIN pointers p ON p.name = 'previous' WHERE c.name = 'champion'`,
    )
    .first<Omit<Pointers, "previousSet"> & { readonly previousSet: number }>();
  if (!row) throw new Error("the pointers are missing: the migrations were not applied");
  return { ...row, previousSet: row.previousSet === 1 };
}

/** An adapter that its round's verdict makes the champion. */
export interface Promotion {
  readonly adapter: string;
  readonly roundId: string;
  /** As they were when the verdict was made; the guard must know that they still are. */
  readonly pointers: Pointers;
  readonly now: number;
}

/** The statements that make an adapter the champion and the champion the previous one, under the guard of their batch. */
export function promote(db: D1Database, guard: Guard, promotion: Promotion): D1PreparedStatement[] {
  const { adapter, roundId, pointers, now } = promotion;
  const places = guard.params.length;
  const move = db.prepare(
    `UPDATE pointers SET adapter = ?${places + 2}, round_id = ?${places + 3}, updated_at = ?${places + 4}
     WHERE name = ?${places + 1} AND ${guard.sql}`,
  );
  const at = Math.max(now, pointers.updatedAt + 1);
  return [
    db
      .prepare(`UPDATE adapters SET state = 'previous' WHERE sha256 = ?${places + 1} AND ${guard.sql}`)
      .bind(...guard.params, pointers.champion),
    move.bind(...guard.params, "previous", pointers.champion, pointers.roundId, at),
    move.bind(...guard.params, "champion", adapter, roundId, at),
  ];
}

/** True while the pointers are as they were read; for statements that move them. */
function pointersStand(read: Pointers): Guard {
  return {
    sql: `EXISTS (SELECT 1 FROM pointers WHERE name = 'champion' AND adapter IS ?1 AND updated_at = ?2)`,
    params: [read.champion, read.updatedAt],
  };
}

/**
 * Moves the champion back to the previous adapter, if the pointers still are what `read` says. Previous becomes the adapter
 * from which the new champion was trained, so that going back again goes further back, never forth.
 * @returns false when the pointers moved meanwhile; nothing has changed then
 */
export async function moveBack(db: D1Database, read: Pointers, audit: AuditEntry): Promise<boolean> {
  const guard = pointersStand(read);
  const where = (statement: string, ...own: (string | number | null)[]) =>
    db.prepare(`${statement} AND ${guard.sql}`).bind(...guard.params, ...own);
  const [audited] = await db.batch([
    auditWhen(db, guard, audit),
    where("UPDATE adapters SET state = 'rejected' WHERE sha256 = ?1"),
    where("UPDATE adapters SET state = 'champion' WHERE sha256 = ?3", read.previous),
    where(
      `UPDATE pointers SET (adapter, round_id, updated_at) = (
         SELECT r.reference_adapter, maker.round_id, CASE WHEN r.id IS NULL THEN 0 ELSE ?4 END
         FROM (SELECT ?3 AS id) wanted LEFT JOIN rounds r ON r.id = wanted.id
         LEFT JOIN adapters maker ON maker.sha256 = r.reference_adapter
       ) WHERE name = 'previous'`,
      read.previousRoundId,
      audit.at,
    ),
    // Last: until here every statement sees the pointers that it expects.
    where(
      "UPDATE pointers SET adapter = ?3, round_id = ?4, updated_at = ?5 WHERE name = 'champion'",
      read.previous,
      read.previousRoundId,
      Math.max(audit.at, read.updatedAt + 1),
    ),
  ]);
  return audited?.meta.changes === 1;
}
