import { desc, eq, lt } from "drizzle-orm";
import { DEFAULT_POLICY, type PolicyDocument, policyDocument } from "../../shared/contracts/policy.ts";
import { type AuditEntry, auditStatement } from "./audit.ts";
import { isUniqueViolation, reads } from "./db.ts";
import { policies } from "./schema.ts";

/** One version of the policy. Versions are 1, 2, 3, ... without gaps, and are never changed. */
export interface StoredPolicy {
  readonly version: number;
  readonly document: PolicyDocument;
  /** ms */
  readonly createdAt: number;
  readonly author: string;
  readonly reason: string;
}

/** The newest policy. On first use the default becomes version 1, whoever asks first. */
export async function currentPolicy(db: D1Database): Promise<StoredPolicy> {
  const stored = await newest(db);
  if (stored) return stored;
  await db
    .prepare(
      `INSERT INTO policies (version, document, created_at, author, reason)
       SELECT 1, ?1, ?2, 'system', 'default' WHERE NOT EXISTS (SELECT 1 FROM policies)`,
    )
    .bind(JSON.stringify(DEFAULT_POLICY), Date.now())
    .run();
  const first = await newest(db);
  if (!first) throw new Error("the default policy was not stored");
  return first;
}

/** How old the policy may be that a hot path goes by. */
const RECENT_MS = 5_000;
let recent: { readonly policy: StoredPolicy; readonly readAt: number } | null = null;

/** The policy as it was at most a few seconds ago; after a change in this isolate, the changed one. */
export async function recentPolicy(db: D1Database, nowMs: number): Promise<StoredPolicy> {
  if (recent && Math.abs(nowMs - recent.readAt) < RECENT_MS) return recent.policy;
  const policy = await currentPolicy(db);
  recent = { policy, readAt: nowMs };
  return policy;
}

/**
 * Stores the version after `next.version - 1`, with its audit entry.
 * @returns false when that version exists already: somebody else was faster
 */
export async function appendPolicy(db: D1Database, next: StoredPolicy, audit: AuditEntry): Promise<boolean> {
  const insert = db
    .prepare("INSERT INTO policies (version, document, created_at, author, reason) VALUES (?1, ?2, ?3, ?4, ?5)")
    .bind(next.version, JSON.stringify(next.document), next.createdAt, next.author, next.reason);
  try {
    await db.batch([insert, auditStatement(db, audit)]);
    recent = null;
    return true;
  } catch (error) {
    if (isUniqueViolation(error)) return false;
    throw error;
  }
}

export async function findPolicy(db: D1Database, version: number): Promise<StoredPolicy | undefined> {
  const row = await reads(db).select().from(policies).where(eq(policies.version, version)).get();
  return row && toPolicy(row);
}

/** At most `limit` versions below `before`, the newest first. */
export async function policiesBelow(db: D1Database, before: number, limit: number): Promise<StoredPolicy[]> {
  const rows = await reads(db)
    .select()
    .from(policies)
    .where(lt(policies.version, before))
    .orderBy(desc(policies.version))
    .limit(limit)
    .all();
  return rows.map(toPolicy);
}

async function newest(db: D1Database): Promise<StoredPolicy | undefined> {
  const row = await reads(db).select().from(policies).orderBy(desc(policies.version)).limit(1).get();
  return row && toPolicy(row);
}

/** Parsed again, so that a field that is younger than the stored document has its default. */
function toPolicy(row: typeof policies.$inferSelect): StoredPolicy {
  return { ...row, document: policyDocument.parse(row.document) };
}
