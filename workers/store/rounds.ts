import { HOLDS, type Holder, holderParams } from "./leases.ts";
import { type FoundPair, fittingPage, imagesPresent, passedLists, passOver } from "./pairs.ts";

/** What decides whether a round starts, beside the statistics. */
export interface RoundsNow {
  /** When the last round ended that went its way; of one that goes on, when it began; ms. */
  readonly lastRoundAt: number | null;
  /** Pairs that the rounds hold that are held now, and that were never trained on. */
  readonly leased: number;
}

export async function roundsNow(db: D1Database, now: number): Promise<RoundsNow> {
  const found = await db
    .prepare(
      `SELECT (SELECT coalesce(finished_at, created_at) FROM rounds WHERE state IN ('claimed', 'completed')
               ORDER BY created_at DESC LIMIT 1) AS lastRoundAt,
              (SELECT count(*) FROM leases l CROSS JOIN pairs p ON p.round_id = l.round_id
               WHERE l.state = 'live' AND l.expires_at > ?1
                 AND +p.state = 'leased' AND p.home = 'ready' AND p.trainings = 0) AS leased`,
    )
    .bind(now)
    .first<RoundsNow>();
  return found ?? { lastRoundAt: null, leased: 0 };
}

type LeasedPair = Pick<FoundPair, "id" | "row">;

/** A round about to be claimed. */
export interface NewRound {
  readonly id: string;
  readonly leaseId: string;
  readonly trainer: string;
  readonly policyVersion: number;
  /** Pairs to train on, and pairs to score. */
  readonly train: readonly LeasedPair[];
  readonly score: readonly LeasedPair[];
  /** Pairs that the batch left out, and that stand in the way of others. */
  readonly passed: readonly LeasedPair[];
  /** Sentinels: each is two lines. */
  readonly sentinels: readonly string[];
  readonly lines: number;
  readonly batchSha256: string;
  /** JSON: see `HeldRound`. */
  readonly predicted: string;
  /** ms */
  readonly now: number;
  readonly expiresAt: number;
}

/** What the first holder of a new round is told. */
export interface ClaimedRow {
  readonly reference: string | null;
}

/** What refuses the transaction when a pair was taken by somebody else, or a sentinel was erased: see `insertRound`. */
const TAKEN = /NOT NULL constraint failed: (rounds\.pairs|sentinel_scores\.pair_id)/;

/**
 * Leases all of the pairs to a new round, or none: somebody else may have taken one since they were chosen, or the trainer may
 * have got a lease by another call. Each pair remembers the state it came from. They are found by their rows, for those of the
 * oldest lie together, while ids are spread over the whole table. Whether all were taken is known when they have been: then the
 * round's count is set to null if one is missing, which the table does not allow; a sentinel that is missing is null likewise.
 * @returns null when nothing was leased
 */
export async function insertRound(db: D1Database, round: NewRound): Promise<ClaimedRow | null> {
  const exists = "EXISTS (SELECT 1 FROM rounds WHERE id = ?1)";
  const pairs = [
    ...round.train.map(({ row, id }) => [row, id, "train"]),
    ...round.score.map(({ row, id }) => [row, id, "score"]),
  ];
  const onRound = (sql: string, ...params: (string | number)[]) => db.prepare(sql).bind(round.id, ...params);
  try {
    const [inserted] = await db.batch<ClaimedRow>([
      onRound(
        `INSERT INTO rounds (id, trainer, state, created_at, policy_version, reference_adapter, pairs, batch_sha256, predicted)
         SELECT ?1, ?2, 'claimed', ?3, ?4, champion.adapter, ?5, ?6, ?7 FROM pointers champion
         WHERE champion.name = 'champion'
           AND NOT EXISTS (SELECT 1 FROM leases WHERE state = 'live' AND expires_at > ?3 AND trainer = ?2)
         RETURNING reference_adapter AS reference`,
        round.trainer,
        round.now,
        round.policyVersion,
        round.lines,
        round.batchSha256,
        round.predicted,
      ),
      onRound(
        `INSERT INTO leases (id, round_id, trainer, fence, expires_at, state) SELECT ?2, ?1, ?3, 1, ?4, 'live' WHERE ${exists}`,
        round.leaseId,
        round.trainer,
        round.expiresAt,
      ),
      onRound(
        `UPDATE pairs SET home = state, state = 'leased', lease_use = chosen.value ->> 2, round_id = ?1, passes = 0
         FROM json_each(?2) chosen WHERE pairs.rowid = chosen.value ->> 0 AND pairs.id = chosen.value ->> 1
           AND +state IN ('ready', 'trained', 'saturated') AND ${exists}`,
        JSON.stringify(pairs),
      ),
      onRound("UPDATE rounds SET pairs = iif(changes() = ?2, pairs, NULL) WHERE id = ?1", pairs.length),
      onRound(
        `INSERT INTO sentinel_scores (round_id, pair_id, swapped)
         SELECT ?1, (SELECT id FROM pairs WHERE id = chosen.value AND sentinel = 1), twin.value
         FROM json_each(?2) chosen, json_each('[0,1]') twin WHERE ${exists}`,
        JSON.stringify(round.sentinels),
      ),
      ...passedLists(round.passed).map((list) => onRound(`${passOver("?2")} AND ${exists}`, list)),
    ]);
    return inserted?.results[0] ?? null;
  } catch (error) {
    if (error instanceof Error && TAKEN.test(error.message)) return null;
    throw error;
  }
}

/** A round as its holder sees it. */
export interface HeldRound {
  readonly createdAt: number;
  /** JSON: the document it was claimed under. */
  readonly policy: string;
  /** JSON: the accuracy at levels 1 to 4 of the batch's regions that was predicted when it was claimed. */
  readonly predicted: string;
}

/** The round, if the holder holds it now. */
export async function heldRound(db: D1Database, holder: Holder, now: number): Promise<HeldRound | null> {
  return db
    .prepare(
      `SELECT r.created_at AS createdAt, p.document AS policy, r.predicted
       FROM rounds r JOIN policies p ON p.version = r.policy_version WHERE r.id = ?2 AND ${HOLDS}`,
    )
    .bind(...holderParams(holder, now))
    .first<HeldRound>();
}

/** A question of the gate set before its text is read. */
export interface GateCandidate {
  readonly id: string;
  readonly task: string;
}

/**
 * The newest gate questions of each task that stood when the round was claimed, with all their images; of questions asked
 * twice the newest. Reads at most `limit` sources per task.
 */
export async function gateCandidates(
  db: D1Database,
  tasks: readonly string[],
  before: number,
  limit: number,
): Promise<GateCandidate[]> {
  const newest = db.prepare(
    `SELECT id, task, max(created_at) AS newest FROM (
       SELECT s.id, s.task, s.conversation, s.images, s.created_at FROM sources s
       WHERE s.split = 'gate' AND s.task = ?1 AND s.created_at <= ?2 ORDER BY s.created_at DESC, s.rowid DESC LIMIT ?3
     ) recent WHERE ${imagesPresent("recent")} GROUP BY conversation ORDER BY newest DESC, id`,
  );
  const found = await db.batch<GateCandidate>(tasks.map((task) => newest.bind(task, before, limit)));
  return found.flatMap(({ results }) => results);
}

/** A gate question in full; `conversation` is JSON, null when the line belongs to a later page. */
export interface GateSource {
  readonly id: string;
  readonly task: string;
  readonly errorType: string;
  readonly language: string;
  readonly modality: string;
  readonly conversation: string | null;
  readonly answer: string;
}

/** These sources, in the order of the ids. */
export async function gateSources(db: D1Database, ids: readonly string[]): Promise<GateSource[]> {
  const found = await db
    .prepare(
      fittingPage(
        "id, task, errorType, language, modality, answer",
        `SELECT s.id, s.task, s.error_type AS errorType, s.language, s.modality, s.conversation, s.answer,
                wanted.key AS place, length(s.conversation) + length(s.answer) AS chars
         FROM json_each(?1) wanted CROSS JOIN sources s ON s.id = wanted.value`,
        "place",
      ),
    )
    .bind(JSON.stringify(ids))
    .all<GateSource>();
  return found.results;
}
