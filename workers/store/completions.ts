import type { PairState } from "../../shared/contracts/operator.ts";
import { type Pointers, promote } from "./adapters.ts";
import type { AuditEntry } from "./audit.ts";
import { jsonChunks } from "./chunks.ts";
import { auditWhen, type Guard } from "./guard.ts";
import { GO_HOME, HOLDS, type Holder, holderParams } from "./leases.ts";
import { toldOf } from "./reports.ts";

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
  /** Rounds that were completed so far. What is learnt from this one is learnt on top of them. */
  readonly completed: number;
  /** Digest of the base model of the last round that told it. */
  readonly lastBase: string | null;
}

const COMPLETED = "(SELECT count(*) FROM rounds WHERE state = 'completed')";

export async function roundToComplete(db: D1Database, holder: Holder, now: number): Promise<RoundToComplete | null> {
  return db
    .prepare(
      `SELECT r.state, ${HOLDS} AS held, r.reference_adapter AS reference, r.batch_sha256 AS batchSha256, r.verdict,
              r.completion_sha256 AS completionSha256, p.document AS policy,
              EXISTS (SELECT 1 FROM leases WHERE id = ?1 AND round_id = ?2 AND fence = ?3) AS ours,
              ${COMPLETED} AS completed,
              (SELECT a.manifest ->> '$.base.sha256' FROM adapters a JOIN rounds told ON told.id = a.round_id
               WHERE a.manifest IS NOT NULL AND told.state = 'completed' ORDER BY told.finished_at DESC LIMIT 1) AS lastBase
       FROM rounds r JOIN policies p ON p.version = r.policy_version WHERE r.id = ?2`,
    )
    .bind(...holderParams(holder, now))
    .first<RoundToComplete>();
}

/** What a round teaches: the regions and difficulties as they were read, and as they are after it. */
export interface Lesson {
  readonly regions: readonly {
    readonly key: string;
    readonly abilityMean: number;
    readonly abilityVar: number;
    readonly chosenLogRatio: number;
    readonly gapMean: number;
    readonly gapSquare: number;
    readonly stairLevel: number;
    /** JSON */
    readonly roundWatch: string;
    /** Fresh pairs measured by this round. */
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

/** What becomes of a leased pair that was scored. */
export interface Fate {
  readonly id: string;
  readonly state: PairState;
  /** Null: it is in the state it came from, for the reason it had. */
  readonly reason: string | null;
  readonly trainings: number;
  readonly highStreak: number;
  readonly lowStreak: number;
  readonly gap: number | null;
  readonly gapModel: string | null;
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
  /** As the statistics were read: after so many completed rounds, and after so many reports of this one. */
  readonly read: { readonly completed: number; readonly told: number };
  readonly lesson: Lesson;
  /** Of the pairs that are leased, those without one go back to where they came from; those that were refused are quarantined. */
  readonly fates: readonly Fate[];
  /** As the verdict was made: if the champion moved, it has to be made anew. */
  readonly pointers: Pointers;
  readonly audits: readonly AuditEntry[];
}

/**
 * Ends a round in one transaction: verdict, pairs, statistics, adapter, pointers, lease. Nothing changes unless the holder still
 * holds the round, and its reports, the champion and the statistics are as they were read.
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
    ...endLeases(done, statement),
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
    ...done.audits.map((entry) => auditWhen(db, here, entry)),
    db.prepare(`UPDATE leases SET state = 'closed' WHERE id = ?1 AND ${here.sql}`).bind(...params),
  ]);
  return completed?.meta.changes === 1;
}

/** Where an adapter stands after its round. */
const ADAPTER_STATES = { promoted: "champion", rejected: "rejected", inconclusive: "candidate" } as const;

type Statement = (sql: string, ...own: (string | number | null)[]) => D1PreparedStatement;

/**
 * Every leased pair gets a state. Those that are quarantined are to be checked again: by a model if they are doubted, by people if
 * the trainer could not use them. A sentinel that was refused waits for its next turn like one that was scored, or it would be the
 * first to come again in every round. (A `+` keeps an index out that would read more than the round's pairs.)
 */
function endLeases({ fates }: CompletedRound, statement: Statement): D1PreparedStatement[] {
  return [
    ...jsonChunks(fates).map((chunk) =>
      statement(
        `UPDATE pairs SET state = fate.value ->> 'state', home = NULL, lease_use = NULL, scored_at = ?4,
                state_reason = coalesce(fate.value ->> 'reason', state_reason),
                state_at = iif(fate.value ->> 'reason' IS NULL, state_at, ?4),
                trainings = fate.value ->> 'trainings', high_streak = fate.value ->> 'highStreak',
                low_streak = fate.value ->> 'lowStreak', gap = fate.value ->> 'gap', gap_model = fate.value ->> 'gapModel'
         FROM json_each(?5) fate
         WHERE pairs.id = fate.value ->> 'id' AND +pairs.round_id = ?2 AND +pairs.state = 'leased'`,
        chunk,
      ),
    ),
    statement(
      `UPDATE pairs SET state = 'quarantined', state_reason = 'refused by the trainer: ' || refusal.reason, state_at = ?4,
              home = NULL, lease_use = NULL
       FROM pair_refusals refusal
       WHERE pairs.round_id = ?2 AND +pairs.state = 'leased' AND refusal.pair_id = pairs.id AND refusal.round_id = ?2`,
    ),
    statement(`UPDATE pairs SET ${GO_HOME} WHERE round_id = ?2 AND +state = 'leased'`),
    statement(
      `INSERT INTO rechecks (id, pair_id, round_id, state, why, created_at)
       SELECT ?2 || ':' || p.id, p.id, ?2, iif(f.pair_id IS NULL, 'queued', 'waiting'), p.state_reason, ?4
       FROM pairs p LEFT JOIN pair_refusals f ON f.pair_id = p.id AND f.round_id = ?2
       WHERE p.round_id = ?2 AND +p.state = 'quarantined'`,
    ),
    statement(
      `UPDATE pairs SET scored_at = ?4 WHERE sentinel = 1 AND id IN (
         SELECT s.pair_id FROM sentinel_scores s WHERE s.round_id = ?2 AND (s.chosen_before IS NOT NULL OR EXISTS (
           SELECT 1 FROM pair_refusals f WHERE f.pair_id = s.pair_id AND f.round_id = ?2)))`,
    ),
  ];
}

/** Abilities are set, the guard of the round's row knows that they stand; counts that the editor adds to are changed in relation. */
function learnRegions(lesson: Lesson, statement: Statement): D1PreparedStatement[] {
  return [
    ...jsonChunks(lesson.regions).map((regions) =>
      statement(
        `UPDATE regions SET ability_mean = after.value ->> 'abilityMean', ability_var = after.value ->> 'abilityVar',
                chosen_log_ratio = after.value ->> 'chosenLogRatio', gap_mean = after.value ->> 'gapMean',
                gap_square = after.value ->> 'gapSquare', stair_level = after.value ->> 'stairLevel',
                round_watch = after.value ->> 'roundWatch', scored = regions.scored + (after.value ->> 'scored')
         FROM json_each(?5) after WHERE regions.key = after.value ->> 'key'`,
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
  return db
    .prepare(
      `UPDATE rounds SET state = 'completed', finished_at = ?4, adapter = ?5, verdict = ?6, gate = ?7, metrics = ?8,
              completion_sha256 = ?9
       WHERE id = ?2 AND state = 'claimed' AND ${HOLDS}
         AND EXISTS (SELECT 1 FROM pointers WHERE name = 'champion' AND adapter IS ?10 AND updated_at = ?11)
         AND ${COMPLETED} = ?12 AND ${toldOf("?2")} = ?13`,
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
      done.read.completed,
      done.read.told,
    );
}
