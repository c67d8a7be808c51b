import { desc, eq } from "drizzle-orm";
import { reads } from "./db.ts";
import { rounds } from "./schema.ts";

/** Rounds listed at once, the newest first. */
const ROUNDS_SHOWN = 200;

const COLUMNS = {
  id: rounds.id,
  trainer: rounds.trainer,
  state: rounds.state,
  createdAt: rounds.createdAt,
  finishedAt: rounds.finishedAt,
  reference: rounds.referenceAdapter,
  pairs: rounds.pairs,
  progress: rounds.progress,
  adapter: rounds.adapter,
  verdict: rounds.verdict,
  gate: rounds.gate,
  metrics: rounds.metrics,
};

/** Rounds as people see them. */
export async function listRounds(db: D1Database) {
  return reads(db)
    .select(COLUMNS)
    .from(rounds)
    .orderBy(desc(rounds.createdAt), desc(rounds.id))
    .limit(ROUNDS_SHOWN)
    .all();
}

export async function findRound(db: D1Database, id: string) {
  return reads(db).select(COLUMNS).from(rounds).where(eq(rounds.id, id)).get();
}
