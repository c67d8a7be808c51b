import type { PairState } from "../../shared/contracts/operator.ts";
import type { Verdict } from "../../shared/contracts/training.ts";
import { fittingPage } from "./pairs.ts";

/** A pair as people see it; `conversation` is JSON, null when the pair belongs to a later page. */
export interface PairView {
  readonly id: string;
  readonly region: string;
  readonly level: number;
  readonly origin: string;
  readonly state: PairState;
  readonly stateReason: string | null;
  readonly stateAt: number;
  readonly createdAt: number;
  readonly trainings: number;
  readonly sentinel: 0 | 1;
  readonly gap: number | null;
  readonly conversation: string | null;
  readonly chosen: string;
  readonly rejected: string;
}

const NAMES =
  "id, region, level, origin, state, stateReason, stateAt, createdAt, trainings, sentinel, gap, chosen, rejected";
const COLUMNS = `p.id, p.region, p.level, p.origin, p.state, p.state_reason AS stateReason, p.state_at AS stateAt,
  p.created_at AS createdAt, p.trainings, p.sentinel, p.gap, s.conversation, s.answer AS chosen, p.rejected`;

/** Fewer ready pairs are all read to list some of them. */
const MANY_READY = 10_000;

export interface PairFilter {
  readonly state?: PairState | undefined;
  readonly region?: string | undefined;
}

/**
 * At most `limit` pairs by id, after the id `after`. Reads them in the order of an index of the region or the state; leased and
 * ready pairs have none of their own, which each lease would have to write.
 */
export async function listPairs(
  db: D1Database,
  { state, region }: PairFilter,
  page: { readonly after: string; readonly limit: number },
): Promise<PairView[]> {
  const wanted = [
    "p.id > ?1",
    region === undefined ? "?3 IS NULL" : "p.region = ?3",
    state === undefined ? "?4 IS NULL" : await ofState(db, state, region),
  ];
  const rows = `SELECT ${COLUMNS}, length(s.conversation) + length(s.answer) + length(p.rejected) AS chars
    FROM pairs p CROSS JOIN sources s ON s.id = p.source_id WHERE ${wanted.join(" AND ")} ORDER BY p.id LIMIT ?2`;
  const { results } = await db
    .prepare(fittingPage(NAMES, rows, "id"))
    .bind(page.after, page.limit, region ?? null, state ?? null)
    .all<PairView>();
  return results;
}

/**
 * SQL for pairs in the state ?4, so that few others are read: leased ones are those of the live rounds; a few ready ones are looked
 * up, many are met soon on the way through all, and those of a region on the way through the region. A `+` keeps an index out.
 */
async function ofState(db: D1Database, state: PairState, region: string | undefined): Promise<string> {
  if (state === "leased") return "+p.state = ?4 AND p.round_id IN (SELECT round_id FROM leases WHERE state = 'live')";
  if (state !== "ready") return "p.state = ?4 AND p.state NOT IN ('ready', 'leased')";
  if (region !== undefined) return "+p.state = ?4";
  const ready = "SELECT rowid FROM pairs WHERE state = 'ready'";
  const found = await db
    .prepare(`SELECT count(*) AS many FROM (${ready} LIMIT ${MANY_READY})`)
    .first<{ many: number }>();
  return found?.many === MANY_READY ? "+p.state = ?4" : `+p.state = ?4 AND p.rowid IN (${ready})`;
}

/** Where a pair came from. */
export interface PairOrigin extends PairView {
  readonly sourceId: string;
  readonly failureId: string | null;
  readonly jobId: string;
  readonly tickId: number;
}

/** What a round measured: log P(chosen) - log P(rejected), nats. */
export interface PairScoring {
  readonly roundId: string;
  readonly at: number;
  readonly gapBefore: number;
  readonly gapAfter: number;
  readonly verdict: Verdict | null;
}

/** A doubt about the pair. */
export interface RecheckView {
  readonly why: string;
  readonly state: "queued" | "waiting" | "done";
  readonly verdict: "valid" | "invalid" | null;
  readonly judge: string | null;
  readonly reason: string | null;
  readonly createdAt: number;
  readonly finishedAt: number | null;
}

export interface PairHistory {
  readonly pair: PairOrigin;
  /** The oldest first. */
  readonly scores: readonly PairScoring[];
  /** The oldest first. */
  readonly rechecks: readonly RecheckView[];
}

/** A pair with all that is known of it, if there is one with this id. A sentinel's scores are those of the pair as it is. */
export async function findPair(db: D1Database, id: string): Promise<PairHistory | null> {
  const gaps = "s.chosen_before - s.rejected_before AS gapBefore, s.chosen_after - s.rejected_after AS gapAfter";
  const [pairs, scores, rechecks] = await db.batch(
    [
      `SELECT ${COLUMNS}, p.source_id AS sourceId, s.failure_id AS failureId, p.job_id AS jobId, j.tick_id AS tickId
       FROM pairs p JOIN sources s ON s.id = p.source_id JOIN edit_jobs j ON j.id = p.job_id WHERE p.id = ?1`,
      `SELECT s.round_id AS roundId, coalesce(r.finished_at, r.created_at) AS at, s.gapBefore, s.gapAfter, r.verdict
       FROM (SELECT s.round_id, ${gaps} FROM pair_scores s WHERE s.pair_id = ?1
             UNION ALL SELECT s.round_id, ${gaps} FROM sentinel_scores s
             WHERE s.pair_id = ?1 AND s.swapped = 0 AND s.chosen_before IS NOT NULL) s
       JOIN rounds r ON r.id = s.round_id ORDER BY at, roundId`,
      `SELECT why, state, verdict, judge, reason, created_at AS createdAt, finished_at AS finishedAt
       FROM rechecks WHERE pair_id = ?1 ORDER BY created_at, id`,
    ].map((sql) => db.prepare(sql).bind(id)),
  );
  const [pair] = (pairs?.results ?? []) as PairOrigin[];
  if (!pair) return null;
  return {
    pair,
    scores: (scores?.results ?? []) as PairScoring[],
    rechecks: (rechecks?.results ?? []) as RecheckView[],
  };
}
