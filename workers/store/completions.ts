import type { PairScore } from "../../shared/hardness/statistics.ts";
import { type Pointers, promote } from "./adapters.ts";
import type { AuditEntry } from "./audit.ts";
import { jsonChunks } from "./chunks.ts";
import { auditWhen, type Guard } from "./guard.ts";
import { HOLDS, type Holder, holderParams } from "./leases.ts";

/** A round at the moment its holder wants to complete it. */
export interface RoundToComplete {
  readonly state: "claimed" | "completed" | "released" | "expired";
  readonly held: number;
  readonly reference: string | null;
  readonly batchSha256: string;
  readonly verdict: "promoted" | "rejected" | "inconclusive" | null;
  readonly completionSha256: string | null;
  /** JSON */
  readonly policy: string;
  /** The lease is this holder's, over or not. */
  readonly ours: number;
}

export async function roundToComplete(db: D1Database, holder: Holder, now: number): Promise<RoundToComplete | null> {
  return db
    .prepare(
      `SELECT r.state, ${HOLDS} AS held, r.reference_adapter AS reference, r.batch_sha256 AS batchSha256, r.verdict,
              r.completion_sha256 AS completionSha256, p.document AS policy,
              EXISTS (SELECT 1 FROM leases WHERE id = ?1 AND round_id = ?2 AND fence = ?3) AS ours
       FROM rounds r JOIN policies p ON p.version = r.policy_version WHERE r.id = ?2`,
    )
    .bind(...holderParams(holder, now))
    .first<RoundToComplete>();
}

/**
 * The round's scores as `afterRound` wants them. Fresh is a pair that was never trained on; one that was scored before against
 * the same reference tells nothing new, and is not fresh either. Reads the round's reports.
 */
export async function roundScores(db: D1Database, roundId: string): Promise<PairScore[]> {
  const found = await db
    .prepare(
      `SELECT p.region, p.level, s.chosen_before AS chosenBefore, s.rejected_before AS rejectedBefore,
              s.chosen_after AS chosenAfter, s.chosen_tokens AS chosenTokens, s.rejected_tokens AS rejectedTokens,
              p.trainings = 0 AND NOT EXISTS (
                SELECT 1 FROM pair_scores earlier JOIN rounds theirs ON theirs.id = earlier.round_id
                WHERE earlier.pair_id = s.pair_id AND earlier.round_id <> s.round_id
                  AND theirs.reference_adapter IS ours.reference_adapter
              ) AS fresh
       FROM rounds ours CROSS JOIN pair_scores s ON s.round_id = ours.id CROSS JOIN pairs p ON p.id = s.pair_id
       WHERE ours.id = ?1 ORDER BY s.pair_id`,
    )
    .bind(roundId)
    .all<Omit<PairScore, "fresh"> & { readonly fresh: number }>();
  return found.results.map((row) => ({ ...row, fresh: row.fresh === 1 }));
}

/** What a round teaches: the regions and difficulties as they were read, and as they are after it. */
export interface Lesson {
  readonly regions: readonly {
    readonly key: string;
    readonly abilityMean: number;
    readonly abilityVar: number;
    readonly chosenLogRatio: number;
    /** Fresh pairs measured, before and by this round. If there are others by now, the lesson is out of date. */
    readonly scoredBefore: number;
    readonly scored: number;
  }[];
  /** What is forgotten of the edits. */
  readonly faded: readonly {
    readonly region: string;
    readonly level: number;
    readonly attempted: number;
    readonly refused: number;
  }[];
  /** Logits. */
  readonly difficulties: readonly {
    readonly errorType: string;
    readonly level: number;
    readonly before: number;
    readonly moved: number;
  }[];
}

export interface CompletedRound {
  readonly verdict: "promoted" | "rejected" | "inconclusive";
  readonly adapter: string | null;
  /** JSON */
  readonly manifest: string | null;
  /** JSON */
  readonly gate: string;
  /** JSON */
  readonly metrics: string;
  readonly completionSha256: string;
  readonly lesson: Lesson;
  /** As the verdict was made: if the champion moved, it has to be made anew. */
  readonly pointers: Pointers;
  /** Of a promotion. */
  readonly audit: AuditEntry | null;
}

/**
 * Ends a round in one transaction: verdict, pairs, statistics, adapter, pointers, lease. Nothing changes unless the holder still
 * holds the round, and the champion and the regions are as they were read.
 * @returns whether it was done
 */
export async function insertCompletion(
  db: D1Database,
  holder: Holder,
  now: number,
  done: CompletedRound,
): Promise<boolean> {
  const params = holderParams(holder, now);
  // The round is completed first and its lease closed last: only between the two, which is here, both are true.
  const here: Guard = {
    sql: `${HOLDS} AND EXISTS (SELECT 1 FROM rounds WHERE id = ?2 AND state = 'completed')`,
    params,
  };
  const statement = (sql: string, ...own: (string | number | null)[]) =>
    db.prepare(`${sql} AND ${here.sql}`).bind(...params, ...own);
  const [completed] = await db.batch([
    completeRow(db, params, done),
    statement(
      `UPDATE pairs SET
         state = CASE WHEN EXISTS (SELECT 1 FROM pair_refusals f WHERE f.pair_id = pairs.id AND f.round_id = ?2)
             THEN 'quarantined'
           WHEN ?5 AND EXISTS (SELECT 1 FROM pair_scores s WHERE s.pair_id = pairs.id AND s.round_id = ?2) THEN 'trained'
           ELSE 'ready' END
       WHERE round_id = ?2 AND state = 'leased'`,
      done.verdict === "promoted" ? 1 : 0,
    ),
    statement("UPDATE pairs SET trainings = trainings + 1 WHERE round_id = ?2 AND state = 'trained'"),
    statement(
      `UPDATE regions SET backlog = backlog - gone.pairs
       FROM (SELECT region, count(*) AS pairs FROM pairs WHERE round_id = ?2 AND state IN ('trained', 'quarantined')
             GROUP BY region) gone
       WHERE regions.key = gone.region`,
    ),
    ...learnRegions(done.lesson, statement),
    ...learnDifficulties(db, done.lesson, here),
    ...(done.adapter === null
      ? []
      : [
          statement(
            `UPDATE adapters SET round_id = ?2, manifest = ?6, state = ?7
             WHERE sha256 = ?5 AND state IN ('uploaded', 'candidate', 'rejected')`,
            done.adapter,
            done.manifest,
            ADAPTER_STATES[done.verdict],
          ),
        ]),
    ...(done.verdict === "promoted" && done.adapter !== null
      ? promote(db, here, { adapter: done.adapter, roundId: holder.roundId, pointers: done.pointers, now })
      : []),
    ...(done.audit ? [auditWhen(db, here, done.audit)] : []),
    db.prepare(`UPDATE leases SET state = 'closed' WHERE id = ?1 AND ${here.sql}`).bind(...params),
  ]);
  return completed?.meta.changes === 1;
}

/** Where an adapter stands after its round. */
const ADAPTER_STATES = { promoted: "champion", rejected: "rejected", inconclusive: "candidate" } as const;

type Statement = (sql: string, ...own: (string | number | null)[]) => D1PreparedStatement;

/** Abilities are set, the guard of the round's row knows that they stand; counts that the editor adds to are changed in relation. */
function learnRegions(lesson: Lesson, statement: Statement): D1PreparedStatement[] {
  return [
    ...jsonChunks(lesson.regions).map((regions) =>
      statement(
        `UPDATE regions SET ability_mean = after.mean, ability_var = after.variance, chosen_log_ratio = after.log_ratio,
                scored = regions.scored + after.scored
         FROM (SELECT value ->> 'key' AS key, value ->> 'abilityMean' AS mean, value ->> 'abilityVar' AS variance,
                      value ->> 'chosenLogRatio' AS log_ratio, value ->> 'scored' AS scored FROM json_each(?5)) after
         WHERE regions.key = after.key`,
        regions,
      ),
    ),
    ...jsonChunks(lesson.faded).map((faded) =>
      statement(
        `UPDATE region_levels SET attempted = region_levels.attempted - less.attempted,
                refused = region_levels.refused - less.refused
         FROM (SELECT value ->> 'region' AS region, value ->> 'level' AS level, value ->> 'attempted' AS attempted,
                      value ->> 'refused' AS refused FROM json_each(?5)) less
         WHERE region_levels.region = less.region AND region_levels.level = less.level`,
        faded,
      ),
    ),
  ];
}

function learnDifficulties(db: D1Database, lesson: Lesson, here: Guard): D1PreparedStatement[] {
  return jsonChunks(lesson.difficulties).map((difficulties) =>
    db
      .prepare(
        `INSERT INTO difficulties (error_type, level, difficulty)
         SELECT value ->> 'errorType', value ->> 'level', (value ->> 'before') + (value ->> 'moved') FROM json_each(?5)
         WHERE ${here.sql}
         ON CONFLICT (error_type, level) DO UPDATE SET difficulty = difficulty + (
           SELECT value ->> 'moved' FROM json_each(?5)
           WHERE value ->> 'errorType' = difficulties.error_type AND value ->> 'level' = difficulties.level)`,
      )
      .bind(...here.params, difficulties),
  );
}

function completeRow(
  db: D1Database,
  params: ReturnType<typeof holderParams>,
  done: CompletedRound,
): D1PreparedStatement {
  const scoredBefore = Object.fromEntries(done.lesson.regions.map((region) => [region.key, region.scoredBefore]));
  return db
    .prepare(
      `UPDATE rounds SET state = 'completed', finished_at = ?4, adapter = ?5, verdict = ?6, gate = ?7, metrics = ?8,
              completion_sha256 = ?9
       WHERE id = ?2 AND state = 'claimed' AND ${HOLDS}
         AND EXISTS (SELECT 1 FROM pointers WHERE name = 'champion' AND adapter IS ?10 AND updated_at = ?11)
         AND NOT EXISTS (SELECT 1 FROM json_each(?12) read CROSS JOIN regions r ON r.key = read.key
                         WHERE r.scored <> read.value)`,
    )
    .bind(
      ...params,
      done.adapter,
      done.verdict,
      done.gate,
      done.metrics,
      done.completionSha256,
      done.pointers.champion,
      done.pointers.updatedAt,
      JSON.stringify(scoredBefore),
    );
}
