import type { z } from "zod";
import type {
  policyDiffQuery,
  policyDiffResponse,
  policyFields as policyFieldsResponse,
  policyHistoryQuery,
  policyHistoryResponse,
  policyResponse,
  rollbackPolicyRequest,
  setPolicyRequest,
} from "../../shared/contracts/operator.ts";
import { changesBetween } from "../../shared/policy/changes.ts";
import { policyFields } from "../../shared/policy/fields.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { appendPolicy, currentPolicy, findPolicy, policiesBelow, type StoredPolicy } from "../store/policy.ts";

type Policy = z.infer<typeof policyResponse>;

export async function getPolicy(env: Pick<Env, "DB">, actor: Actor): Promise<Policy> {
  demand(actor, "operate");
  return currentPolicy(env.DB);
}

/** Every field of the policy with what an operator has to know to set it. */
export async function getPolicyFields(actor: Actor): Promise<z.infer<typeof policyFieldsResponse>> {
  demand(actor, "operate");
  return { fields: policyFields().map((field) => ({ ...field, schema: { ...field.schema } })) };
}

/**
 * Makes the document the next version. The version it was edited from must still be the newest.
 * @throws {ApiError} `conflict`
 */
export async function setPolicy(
  env: Pick<Env, "DB">,
  actor: Actor,
  { version, document, reason }: z.output<typeof setPolicyRequest>,
  nowMs: number,
): Promise<Policy> {
  demand(actor, "operate");
  await requireNewest(env.DB, version);
  return append(env.DB, actor, { version: version + 1, document, createdAt: nowMs, reason }, "policy.set", {});
}

/**
 * Makes the document of an earlier version the next version: nothing is forgotten, and a rollback can itself be rolled back.
 * @throws {ApiError} `conflict` when `version` is not the newest any more; `not_found` when there never was a version `to`;
 *   `unprocessable` when `to` is the newest one itself
 */
export async function rollbackPolicy(
  env: Pick<Env, "DB">,
  actor: Actor,
  { version, to, reason }: z.output<typeof rollbackPolicyRequest>,
  nowMs: number,
): Promise<Policy> {
  demand(actor, "operate");
  await requireNewest(env.DB, version);
  if (to === version) throw new ApiError("unprocessable", `Version ${to} is the newest policy: nothing would change.`);
  const { document } = await requirePolicy(env.DB, to);
  return append(env.DB, actor, { version: version + 1, document, createdAt: nowMs, reason }, "policy.rollback", { to });
}

/** A page of versions, the newest first, each with what it changed. */
export async function getPolicyHistory(
  env: Pick<Env, "DB">,
  actor: Actor,
  { before = Number.MAX_SAFE_INTEGER, limit }: z.output<typeof policyHistoryQuery>,
): Promise<z.infer<typeof policyHistoryResponse>> {
  demand(actor, "operate");
  await currentPolicy(env.DB); // makes the first version, where nobody has asked for it yet
  const rows = await policiesBelow(env.DB, before, limit + 1);
  const versions = rows.slice(0, limit).map(({ document, ...version }, index) => {
    const older = rows[index + 1]?.document;
    return { ...version, changes: older ? changesBetween(older, document) : [] };
  });
  return { versions, next: rows.length > limit ? (versions.at(-1)?.version ?? null) : null };
}

/**
 * What differs between two versions; without `to`, between one and the newest.
 * @throws {ApiError} `not_found`
 */
export async function getPolicyDiff(
  env: Pick<Env, "DB">,
  actor: Actor,
  { from, to }: z.output<typeof policyDiffQuery>,
): Promise<z.infer<typeof policyDiffResponse>> {
  demand(actor, "operate");
  const newer = to === undefined ? await currentPolicy(env.DB) : await requirePolicy(env.DB, to);
  const older = await requirePolicy(env.DB, from);
  return { from, to: newer.version, changes: changesBetween(older.document, newer.document) };
}

/** Stores the version with its entry in the audit log, unless somebody else was faster. */
async function append(
  db: D1Database,
  actor: Actor,
  version: Omit<Policy, "author">,
  action: string,
  more: Record<string, unknown>,
): Promise<Policy> {
  const next = { ...version, author: actorName(actor) };
  const from = next.version - 1;
  const details = { from, ...more, reason: next.reason };
  const audit = { actor: next.author, action, subject: String(next.version), details, at: next.createdAt };
  if (!(await appendPolicy(db, next, audit))) throw staleVersion(from);
  return next;
}

async function requireNewest(db: D1Database, version: number): Promise<void> {
  if ((await currentPolicy(db)).version !== version) throw staleVersion(version);
}

async function requirePolicy(db: D1Database, version: number): Promise<StoredPolicy> {
  const policy = await findPolicy(db, version);
  if (!policy) throw new ApiError("not_found", `There is no version ${version} of the policy.`);
  return policy;
}

function staleVersion(version: number): ApiError {
  return new ApiError("conflict", `Version ${version} is not the newest policy. Read it again and repeat the edit.`);
}
