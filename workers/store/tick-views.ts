import type { TickRow } from "./ticks.ts";

export type TickHead = Omit<TickRow, "seed" | "format" | "inputs" | "plan">;

/** At most `limit` ticks below the id `before`, the newest first, without what they were made from and what they planned. */
export async function listTicks(db: D1Database, before: number, limit: number): Promise<TickHead[]> {
  const { results } = await db
    .prepare(
      `SELECT id, slot, at, policy_version AS policyVersion, inputs_sha256 AS inputsSha256, plan_sha256 AS planSha256, jobs
       FROM ticks WHERE id < ?1 ORDER BY id DESC LIMIT ?2`,
    )
    .bind(before, limit)
    .all<TickHead>();
  return results;
}
