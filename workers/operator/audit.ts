import type { z } from "zod";
import type { auditQuery, auditResponse } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { listAudit } from "../store/audit.ts";

/** Who changed what: a page, the newest first. */
export async function getAudit(
  env: Pick<Env, "DB">,
  actor: Actor,
  { before = Number.MAX_SAFE_INTEGER, limit, action = "" }: z.output<typeof auditQuery>,
): Promise<z.infer<typeof auditResponse>> {
  demand(actor, "operate");
  const rows = await listAudit(env.DB, { before, limit: limit + 1, action });
  const entries = rows.slice(0, limit).map((row) => ({ ...row, details: { ...row.details } }));
  return { entries, next: rows.length > limit ? (entries.at(-1)?.id ?? null) : null };
}
