import { HOLDS, type Holder, holderParams } from "./leases.ts";
import { fittingPage, imagesPresent } from "./pairs.ts";

/** A round about to be claimed. */
export interface NewRound {
  readonly id: string;
  readonly leaseId: string;
  readonly trainer: string;
  readonly policyVersion: number;
  readonly pairIds: readonly string[];
  readonly batchSha256: string;
  /** ms */
  readonly now: number;
  readonly expiresAt: number;
}

/** What the first holder of a new round is told. */
export interface ClaimedRow {
  readonly reference: string | null;
}

/**
 * Leases all of the pairs to a new round, or none: somebody else may have taken one since they were chosen, or the trainer
 * may have got a lease by another call.
 * @returns null when nothing was leased
 */
export async function insertRound(db: D1Database, round: NewRound): Promise<ClaimedRow | null> {
  const pairIds = JSON.stringify(round.pairIds);
  const exists = "EXISTS (SELECT 1 FROM rounds WHERE id = ?1)";
  const [inserted] = await db.batch<ClaimedRow>([
    db
      .prepare(
        `INSERT INTO rounds (id, trainer, state, created_at, policy_version, reference_adapter, pairs, batch_sha256)
         SELECT ?1, ?2, 'claimed', ?3, ?4, champion.adapter, ?5, ?6 FROM pointers champion
         WHERE champion.name = 'champion'
           AND (SELECT count(*) FROM json_each(?7) c CROSS JOIN pairs p ON p.id = c.value AND p.state = 'ready') = ?5
           AND NOT EXISTS (SELECT 1 FROM leases WHERE state = 'live' AND expires_at > ?3 AND trainer = ?2)
         RETURNING reference_adapter AS reference`,
      )
      .bind(round.id, round.trainer, round.now, round.policyVersion, round.pairIds.length, round.batchSha256, pairIds),
    db
      .prepare(
        `INSERT INTO leases (id, round_id, trainer, fence, expires_at, state) SELECT ?2, ?1, ?3, 1, ?4, 'live' WHERE ${exists}`,
      )
      .bind(round.id, round.leaseId, round.trainer, round.expiresAt),
    db
      .prepare(
        `UPDATE pairs SET state = 'leased', round_id = ?1
         WHERE state = 'ready' AND id IN (SELECT value FROM json_each(?2)) AND ${exists}`,
      )
      .bind(round.id, pairIds),
  ]);
  return inserted?.results[0] ?? null;
}

/** A round as its holder sees it. `policy` is the JSON document it was claimed under. */
export interface HeldRound {
  readonly createdAt: number;
  readonly policy: string;
}

/** The round, if the holder holds it now. */
export async function heldRound(db: D1Database, holder: Holder, now: number): Promise<HeldRound | null> {
  return db
    .prepare(
      `SELECT r.created_at AS createdAt, p.document AS policy
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

/** What became of a chunk of reports. */
export interface StoredReports {
  readonly held: boolean;
  readonly stored: number;
  readonly unknown: readonly string[];
  /** Pairs of the round that were deleted on request since it began. */
  readonly erased: readonly string[];
}

/**
 * Stores what the trainer measured or refused, once per pair and round; the first report of a pair stands. A
 * pair that is nowhere any more counts as erased if the round has fewer pairs than it began with, otherwise as unknown.
 * @param reports JSON array as in the contract
 */
export async function insertReports(
  db: D1Database,
  holder: Holder,
  now: number,
  reports: string,
): Promise<StoredReports> {
  const params = holderParams(holder, now);
  const reported = (table: string) =>
    `NOT EXISTS (SELECT 1 FROM ${table} told WHERE told.pair_id = p.id AND told.round_id = ?2)`;
  const ofRound = `json_each(?5) r CROSS JOIN pairs p
    ON p.id = r.value ->> 'pairId' AND p.round_id = ?2 AND p.state = 'leased'`;
  const [held, strangers, scores, refusals] = await db.batch<{ held: number } | { id: string; erased: number }>([
    db.prepare(`SELECT ${HOLDS} AS held`).bind(...params),
    db
      .prepare(
        `SELECT DISTINCT r.value ->> 'pairId' AS id,
                NOT EXISTS (SELECT 1 FROM pairs p WHERE p.id = r.value ->> 'pairId')
                  AND (SELECT pairs FROM rounds WHERE id = ?1)
                    > (SELECT count(*) FROM pairs WHERE round_id = ?1 AND state = 'leased') AS erased
         FROM json_each(?2) r WHERE NOT EXISTS (
           SELECT 1 FROM pairs p WHERE p.id = r.value ->> 'pairId' AND p.round_id = ?1 AND p.state = 'leased')`,
      )
      .bind(holder.roundId, reports),
    db
      .prepare(
        `INSERT INTO pair_scores (pair_id, round_id, chosen_before, rejected_before, chosen_after, rejected_after,
                                  chosen_tokens, rejected_tokens)
         SELECT p.id, ?2, r.value ->> 'chosenBefore', r.value ->> 'rejectedBefore', r.value ->> 'chosenAfter',
                r.value ->> 'rejectedAfter', r.value ->> 'chosenTokens', r.value ->> 'rejectedTokens'
         FROM ${ofRound}
         WHERE r.value ->> 'refused' IS NULL AND ${reported("pair_refusals")} AND ${HOLDS} ON CONFLICT DO NOTHING`,
      )
      .bind(...params, reports),
    db
      .prepare(
        `INSERT INTO pair_refusals (pair_id, round_id, reason) SELECT p.id, ?2, r.value ->> 'refused' FROM ${ofRound}
         WHERE r.value ->> 'refused' IS NOT NULL AND ${reported("pair_scores")} AND ${HOLDS} ON CONFLICT DO NOTHING`,
      )
      .bind(...params, reports),
  ]);
  const [first] = held?.results ?? [];
  return {
    held: first !== undefined && "held" in first && first.held === 1,
    stored: (scores?.meta.changes ?? 0) + (refusals?.meta.changes ?? 0),
    unknown: strangersOf(strangers, 0),
    erased: strangersOf(strangers, 1),
  };
}

function strangersOf(found: D1Result<{ held: number } | { id: string; erased: number }> | undefined, erased: 0 | 1) {
  return (found?.results ?? []).flatMap((row) => ("id" in row && row.erased === erased ? [row.id] : []));
}
