import type { z } from "zod";
import type { PairState } from "../../shared/contracts/operator.ts";
import type { pairReport } from "../../shared/contracts/training.ts";
import type { Level } from "../../shared/taxonomy/taxonomy.ts";
import { HOLDS, type Holder, holderParams } from "./leases.ts";
import { readSentinelLine } from "./sentinels.ts";

export type PairReport = z.infer<typeof pairReport>;

/** How scorings name the model without an adapter. */
export const BASE_MODEL = "base";

/** A report, and the sentinel that it is about, if it is about one. */
type Line = PairReport & { readonly sentinel: string | null; readonly swapped: 0 | 1 };

/** What became of a chunk of reports. */
export interface StoredReports {
  readonly held: boolean;
  readonly stored: number;
  readonly unknown: readonly string[];
  /** Pairs of the round that were deleted on request since it began. */
  readonly erased: readonly string[];
}

type Stranger = { readonly id: string; readonly erased: number };

/**
 * Stores what the trainer measured or refused, once per line and round; the first report of a line stands. A line whose pair is
 * nowhere any more counts as erased if the round has fewer lines than it began with, otherwise as unknown.
 */
export async function insertReports(
  db: D1Database,
  holder: Holder,
  now: number,
  reports: readonly PairReport[],
): Promise<StoredReports> {
  const params = holderParams(holder, now);
  const lines = JSON.stringify(reports.map(toLine));
  const bound = (sql: string) => db.prepare(sql).bind(...params, lines);
  const [held, strangers, ...stored] = await db.batch<{ held: number } | Stranger>([
    db.prepare(`SELECT ${HOLDS} AS held`).bind(...params),
    db.prepare(STRANGERS).bind(holder.roundId, lines),
    ...PAIR_WRITES.map(bound),
    ...SENTINEL_WRITES.map(bound),
  ]);
  const [first] = held?.results ?? [];
  const found = (strangers?.results ?? []) as Stranger[];
  return {
    held: first !== undefined && "held" in first && first.held === 1,
    stored: stored.reduce((sum, { meta }) => sum + meta.changes, 0),
    unknown: found.filter(({ erased }) => erased === 0).map(({ id }) => id),
    erased: found.filter(({ erased }) => erased === 1).map(({ id }) => id),
  };
}

function toLine(report: PairReport): Line {
  return { ...report, sentinel: null, swapped: 0, ...readSentinelLine(report.pairId) };
}

/** Lines that the round (?1) does not hold. */
const STRANGERS = `SELECT DISTINCT r.value ->> 'pairId' AS id,
    NOT EXISTS (SELECT 1 FROM pairs p WHERE p.id = coalesce(r.value ->> 'sentinel', r.value ->> 'pairId'))
      AND (SELECT pairs FROM rounds WHERE id = ?1) > (SELECT count(*) FROM pairs WHERE round_id = ?1 AND +state = 'leased')
        + (SELECT count(*) FROM sentinel_scores WHERE round_id = ?1) AS erased
  FROM json_each(?2) r WHERE NOT CASE
    WHEN r.value ->> 'sentinel' IS NULL THEN EXISTS (
      SELECT 1 FROM pairs p WHERE p.id = r.value ->> 'pairId' AND p.round_id = ?1 AND p.state = 'leased')
    ELSE EXISTS (SELECT 1 FROM sentinel_scores s WHERE s.round_id = ?1 AND s.pair_id = r.value ->> 'sentinel'
      AND s.swapped = r.value ->> 'swapped') END`;

const SCORES = `r.value ->> 'chosenBefore', r.value ->> 'rejectedBefore', r.value ->> 'chosenAfter',
  r.value ->> 'rejectedAfter', r.value ->> 'chosenTokens', r.value ->> 'rejectedTokens'`;
const LEASED = `json_each(?5) r CROSS JOIN pairs p
  ON r.value ->> 'sentinel' IS NULL AND p.id = r.value ->> 'pairId' AND p.round_id = ?2 AND p.state = 'leased'`;
const refusedIn = (pair: string) =>
  `EXISTS (SELECT 1 FROM pair_refusals told WHERE told.pair_id = ${pair} AND told.round_id = ?2)`;

const PAIR_WRITES = [
  `INSERT INTO pair_scores (pair_id, round_id, chosen_before, rejected_before, chosen_after, rejected_after,
                            chosen_tokens, rejected_tokens)
   SELECT p.id, ?2, ${SCORES} FROM ${LEASED}
   WHERE r.value ->> 'refused' IS NULL AND NOT ${refusedIn("p.id")} AND ${HOLDS} ON CONFLICT DO NOTHING`,
  `INSERT INTO pair_refusals (pair_id, round_id, reason) SELECT p.id, ?2, r.value ->> 'refused' FROM ${LEASED}
   WHERE r.value ->> 'refused' IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM pair_scores told WHERE told.pair_id = p.id AND told.round_id = ?2)
     AND ${HOLDS} ON CONFLICT DO NOTHING`,
] as const;

/** Both twins have the same texts: who refuses one has refused the other. */
const SENTINEL_WRITES = [
  `UPDATE sentinel_scores SET (chosen_before, rejected_before, chosen_after, rejected_after, chosen_tokens, rejected_tokens) = (
     SELECT ${SCORES} FROM json_each(?5) r
     WHERE r.value ->> 'sentinel' = pair_id AND r.value ->> 'swapped' = swapped AND r.value ->> 'refused' IS NULL
     ORDER BY r.key LIMIT 1)
   WHERE round_id = ?2 AND chosen_before IS NULL AND NOT ${refusedIn("sentinel_scores.pair_id")}
     AND (pair_id, swapped) IN (SELECT r.value ->> 'sentinel', r.value ->> 'swapped' FROM json_each(?5) r
                                WHERE r.value ->> 'sentinel' IS NOT NULL AND r.value ->> 'refused' IS NULL)
     AND ${HOLDS}`,
  `INSERT INTO pair_refusals (pair_id, round_id, reason)
   SELECT s.pair_id, ?2, r.value ->> 'refused'
   FROM json_each(?5) r CROSS JOIN sentinel_scores s
     ON s.round_id = ?2 AND s.pair_id = r.value ->> 'sentinel' AND s.swapped = r.value ->> 'swapped'
   WHERE r.value ->> 'refused' IS NOT NULL AND s.chosen_before IS NULL AND ${HOLDS} ON CONFLICT DO NOTHING`,
] as const;

/** A leased pair that the round scored, with its life so far. Log-probabilities are sums, nats. */
export interface ScoredPair {
  readonly id: string;
  readonly region: string;
  readonly level: Level;
  readonly use: "train" | "score";
  /** Never trained on, and not scored under this model before. */
  readonly fresh: boolean;
  /** A doubt about it was settled: it is valid. Or its rejected answer is the model's own: a low gap is what made it a pair. */
  readonly cleared: boolean;
  readonly home: PairState;
  readonly trainings: number;
  readonly highStreak: number;
  readonly lowStreak: number;
  readonly gap: number | null;
  readonly gapModel: string | null;
  readonly chosenBefore: number;
  readonly rejectedBefore: number;
  readonly chosenAfter: number;
  readonly rejectedAfter: number;
  readonly chosenTokens: number;
  readonly rejectedTokens: number;
}

/** A sentinel's line of the round; without numbers it was refused, or not reported. */
export interface SentinelScore {
  readonly pairId: string;
  readonly swapped: 0 | 1;
  readonly refused: 0 | 1;
  readonly chosenBefore: number | null;
  readonly rejectedBefore: number | null;
  readonly chosenAfter: number | null;
  readonly rejectedAfter: number | null;
}

export interface RoundReports {
  /** How many reports there are; more may come while they are read. */
  readonly told: number;
  readonly scored: readonly ScoredPair[];
  readonly sentinels: readonly SentinelScore[];
}

/** How many reports a round has, as SQL. Reads the round's pairs. @param round the parameter that holds its id */
export const toldOf = (round: string) =>
  `((SELECT count(*) FROM pair_scores WHERE round_id = ${round})
    + (SELECT count(*) FROM pairs q CROSS JOIN pair_refusals f ON f.pair_id = q.id AND f.round_id = q.round_id
       WHERE q.round_id = ${round})
    + (SELECT count(*) FROM sentinel_scores WHERE round_id = ${round} AND chosen_before IS NOT NULL))`;

/** All that a round was told, in the order of the pairs. */
export async function roundReports(db: D1Database, roundId: string): Promise<RoundReports> {
  type Scored = Omit<ScoredPair, "fresh" | "cleared"> & { readonly fresh: number; readonly cleared: number };
  const [told, scored, sentinels] = await db.batch(
    [
      `SELECT ${toldOf("?1")} AS told`,
      `SELECT p.id, p.region, p.level, p.lease_use AS use, p.home, p.trainings, p.high_streak AS highStreak,
              p.low_streak AS lowStreak, p.gap, p.gap_model AS gapModel,
              p.trainings = 0 AND p.gap_model IS NOT coalesce(r.reference_adapter, '${BASE_MODEL}') AS fresh,
              (p.origin = 'own' OR EXISTS (SELECT 1 FROM rechecks k WHERE k.pair_id = p.id AND k.verdict = 'valid')) AS cleared,
              s.chosen_before AS chosenBefore, s.rejected_before AS rejectedBefore, s.chosen_after AS chosenAfter,
              s.rejected_after AS rejectedAfter, s.chosen_tokens AS chosenTokens, s.rejected_tokens AS rejectedTokens
       FROM rounds r CROSS JOIN pairs p ON p.round_id = r.id AND +p.state = 'leased'
       CROSS JOIN pair_scores s ON s.pair_id = p.id AND s.round_id = r.id
       WHERE r.id = ?1 ORDER BY p.id`,
      `SELECT s.pair_id AS pairId, s.swapped, s.chosen_before AS chosenBefore, s.rejected_before AS rejectedBefore,
              s.chosen_after AS chosenAfter, s.rejected_after AS rejectedAfter,
              EXISTS (SELECT 1 FROM pair_refusals f WHERE f.pair_id = s.pair_id AND f.round_id = s.round_id) AS refused
       FROM sentinel_scores s WHERE s.round_id = ?1 ORDER BY s.pair_id, s.swapped`,
    ].map((sql) => db.prepare(sql).bind(roundId)),
  );
  return {
    told: ((told?.results ?? []) as { told: number }[])[0]?.told ?? 0,
    scored: ((scored?.results ?? []) as Scored[]).map((row) => ({
      ...row,
      fresh: row.fresh === 1,
      cleared: row.cleared === 1,
    })),
    sentinels: (sentinels?.results ?? []) as SentinelScore[],
  };
}
