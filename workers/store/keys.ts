import { and, desc, eq, isNotNull, isNull } from "drizzle-orm";
import type { Scope } from "../../shared/contracts/common.ts";
import { type AuditEntry, auditStatement } from "./audit.ts";
import { reads } from "./db.ts";
import { auditWhen } from "./guard.ts";
import { apiKeys, clients, keyUsage } from "./schema.ts";

/** Keys in one listing: the live ones first, then the newest. */
const KEYS_LISTED_MAX = 1_000;

export interface LiveKey {
  readonly id: string;
  readonly keySha256: string;
  readonly clientId: string;
  readonly reportCap: number;
  readonly scopes: readonly Scope[];
  readonly eventsPerMinute: number;
  readonly requestsPerMinute: number;
  /** ms; null is never */
  readonly expiresAt: number | null;
}

/** The key with this hash or id, unless it was revoked. Whether it has expired is for the caller to see. */
export async function findKey(
  db: D1Database,
  name: { readonly keySha256: string } | { readonly id: string },
): Promise<LiveKey | null> {
  const named = "id" in name ? eq(apiKeys.id, name.id) : eq(apiKeys.keySha256, name.keySha256);
  const row = await reads(db)
    .select({
      id: apiKeys.id,
      keySha256: apiKeys.keySha256,
      clientId: apiKeys.clientId,
      reportCap: clients.reportCap,
      scopes: apiKeys.scopes,
      eventsPerMinute: apiKeys.eventsPerMinute,
      requestsPerMinute: apiKeys.requestsPerMinute,
      expiresAt: apiKeys.expiresAt,
    })
    .from(apiKeys)
    .innerJoin(clients, eq(clients.id, apiKeys.clientId))
    .where(and(named, isNull(apiKeys.revokedAt)))
    .get();
  return row ?? null;
}

/** Keys with what they may and the minute they were last used in; their hashes stay here. */
export async function listKeyRows(db: D1Database) {
  return reads(db)
    .select({
      id: apiKeys.id,
      clientId: apiKeys.clientId,
      client: clients.name,
      scopes: apiKeys.scopes,
      eventsPerMinute: apiKeys.eventsPerMinute,
      requestsPerMinute: apiKeys.requestsPerMinute,
      createdAt: apiKeys.createdAt,
      expiresAt: apiKeys.expiresAt,
      revokedAt: apiKeys.revokedAt,
      lastUsedMinute: keyUsage.minute,
      rotatedFrom: apiKeys.rotatedFrom,
    })
    .from(apiKeys)
    .innerJoin(clients, eq(clients.id, apiKeys.clientId))
    .leftJoin(keyUsage, eq(keyUsage.keyId, apiKeys.id))
    .orderBy(isNotNull(apiKeys.revokedAt), desc(apiKeys.createdAt), apiKeys.id)
    .limit(KEYS_LISTED_MAX);
}

export interface NewKey {
  readonly id: string;
  readonly keySha256: string;
  readonly scopes: readonly Scope[];
  readonly eventsPerMinute: number;
  readonly requestsPerMinute: number;
  readonly expiresAt: number | null;
  readonly client: { readonly id: string; readonly name: string; readonly reportCap: number };
}

/** Stores a key, its client on first use, and the client's report cap as it is now. */
export async function insertKey(db: D1Database, key: NewKey, audit: AuditEntry): Promise<void> {
  const { id, name, reportCap } = key.client;
  await db.batch([
    db
      .prepare(
        `INSERT INTO clients (id, name, report_cap, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET report_cap = excluded.report_cap`,
      )
      .bind(id, name, reportCap, audit.at),
    db
      .prepare(
        `INSERT INTO api_keys (id, client_id, key_sha256, scopes, created_at, expires_at, events_per_minute, requests_per_minute)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
      )
      .bind(
        key.id,
        id,
        key.keySha256,
        JSON.stringify(key.scopes),
        audit.at,
        key.expiresAt,
        key.eventsPerMinute,
        key.requestsPerMinute,
      ),
    auditStatement(db, audit),
  ]);
}

/** Whether there is a key with this id, live or not. */
export async function isKey(db: D1Database, id: string): Promise<boolean> {
  const known = await reads(db).select({ id: apiKeys.id }).from(apiKeys).where(eq(apiKeys.id, id)).get();
  return known !== undefined;
}

/**
 * Gives a key a successor for the same client with the same scopes, limits and expiry, and lets the key itself end at
 * `oldExpiresAt` (ms), if it would not end before.
 * @returns the successor's client and scopes; null when the key is revoked, expired, succeeded already or unknown
 */
export async function insertSuccessor(
  db: D1Database,
  key: { readonly id: string; readonly keySha256: string; readonly of: string; readonly oldExpiresAt: number },
  audit: AuditEntry,
): Promise<{ clientId: string; scopes: Scope[] } | null> {
  const made = { sql: "EXISTS (SELECT 1 FROM api_keys WHERE id = ?1)", params: [key.id] };
  const [inserted] = await db.batch<{ client_id: string; scopes: string }>([
    db
      .prepare(
        `INSERT INTO api_keys (id, key_sha256, created_at, rotated_from, client_id, scopes, expires_at, events_per_minute,
                               requests_per_minute)
         SELECT ?1, ?2, ?3, id, client_id, scopes, expires_at, events_per_minute, requests_per_minute
         FROM api_keys AS old
         WHERE id = ?4 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)
           AND NOT EXISTS (SELECT 1 FROM api_keys WHERE rotated_from = old.id)
         RETURNING client_id, scopes`,
      )
      .bind(key.id, key.keySha256, audit.at, key.of),
    db
      .prepare(`UPDATE api_keys SET expires_at = min(ifnull(expires_at, ?3), ?3) WHERE id = ?2 AND ${made.sql}`)
      .bind(...made.params, key.of, key.oldExpiresAt),
    auditWhen(db, made, audit),
  ]);
  const [row] = inserted?.results ?? [];
  return row ? { clientId: row.client_id, scopes: JSON.parse(row.scopes) } : null;
}

/** Closes a key. Revoking twice keeps the first time. */
export async function revokeKey(db: D1Database, id: string, audit: AuditEntry): Promise<void> {
  await db.batch([
    db.prepare("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL").bind(id, audit.at),
    auditStatement(db, audit),
  ]);
}
