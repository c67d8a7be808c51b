import { and, eq, isNull } from "drizzle-orm";
import type { Scope } from "../../shared/contracts/common.ts";
import { type AuditEntry, auditStatement } from "./audit.ts";
import { reads } from "./db.ts";
import { apiKeys, clients } from "./schema.ts";

export interface FoundKey {
  readonly keyId: string;
  readonly clientId: string;
  readonly reportCap: number;
  readonly scopes: readonly Scope[];
}

/** The live key with this hash. */
export async function findKey(db: D1Database, keySha256: string): Promise<FoundKey | null> {
  const row = await reads(db)
    .select({ keyId: apiKeys.id, clientId: apiKeys.clientId, reportCap: clients.reportCap, scopes: apiKeys.scopes })
    .from(apiKeys)
    .innerJoin(clients, eq(clients.id, apiKeys.clientId))
    .where(and(eq(apiKeys.keySha256, keySha256), isNull(apiKeys.revokedAt)))
    .get();
  return row ?? null;
}

export interface NewKey {
  readonly id: string;
  readonly keySha256: string;
  readonly scopes: readonly Scope[];
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
      .prepare("INSERT INTO api_keys (id, client_id, key_sha256, scopes, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")
      .bind(key.id, id, key.keySha256, JSON.stringify(key.scopes), audit.at),
    auditStatement(db, audit),
  ]);
}

/**
 * Closes a key. Revoking twice keeps the first time.
 * @returns false when there is no such key
 */
export async function revokeKey(db: D1Database, id: string, audit: AuditEntry): Promise<boolean> {
  const known = await reads(db).select({ id: apiKeys.id }).from(apiKeys).where(eq(apiKeys.id, id)).get();
  if (!known) return false;
  await db.batch([
    db.prepare("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL").bind(id, audit.at),
    auditStatement(db, audit),
  ]);
  return true;
}
