import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { completeResponse, GateResult } from "../../shared/contracts/training.ts";
import { currentPolicy } from "../../workers/store/policy.ts";
import { rows } from "./fixtures.ts";
import { gateOf, manifestOf, onRound, scored, uploadAdapter } from "./rounds-support.ts";
import { expectJson } from "./support.ts";

/** Rounds whose pairs a test chooses, and what became of them. */

export type TestRound = Parameters<typeof manifestOf>[0];

let rounds = 0;

/** A round that holds these pairs, as a claim would have made it: for training, or for scoring only. */
export async function hold(
  train: readonly string[],
  { score = [], sentinels = [] }: { score?: readonly string[]; sentinels?: readonly string[] } = {},
): Promise<TestRound> {
  const { version, document } = await currentPolicy(env.DB);
  const id = `round-${++rounds}`;
  const lease = { id: `lease-${rounds}`, fence: 1, expiresAt: Date.now() + 60_000, ttlMs: 60_000 };
  const [pointer] = await rows<{ adapter: string | null }>("SELECT adapter FROM pointers WHERE name = 'champion'");
  const reference = pointer?.adapter ?? null;
  const lease_ = (use: string, ids: readonly string[]) =>
    env.DB.prepare(
      `UPDATE pairs SET home = state, state = 'leased', lease_use = ?3, round_id = ?1
       WHERE id IN (SELECT value FROM json_each(?2)) AND state IN ('ready', 'trained', 'saturated')`,
    ).bind(id, JSON.stringify(ids), use);
  const lines = train.length + score.length + 2 * sentinels.length;
  await env.DB.batch([
    env.DB.prepare(
      `INSERT INTO rounds (id, trainer, state, created_at, policy_version, reference_adapter, pairs, batch_sha256)
       VALUES (?1, ?1, 'claimed', ?2, ?3, ?4, ?5, ?6)`,
    ).bind(id, Date.now(), version, reference, lines, "f".repeat(64)),
    env.DB.prepare(
      "INSERT INTO leases (id, round_id, trainer, fence, expires_at, state) VALUES (?1, ?2, ?2, 1, ?3, 'live')",
    ).bind(lease.id, id, lease.expiresAt),
    lease_("train", train),
    lease_("score", score),
    env.DB.prepare(
      `INSERT INTO sentinel_scores (round_id, pair_id, swapped)
       SELECT ?1, s.value, twin.value FROM json_each(?2) s, json_each('[0,1]') twin`,
    ).bind(id, JSON.stringify(sentinels)),
  ]);
  return {
    id,
    resumed: false,
    lease,
    reference,
    batch: { pairs: lines, sha256: "f".repeat(64) },
    policy: { version, training: document.training, gate: document.gate },
  };
}

/** Gaps before and after the round, nats. */
export type Gaps = readonly [before: number, after: number];

export function gapReport(id: string, [before, after]: Gaps) {
  return scored(id, { chosenBefore: -10, rejectedBefore: -10 - before, chosenAfter: -10, rejectedAfter: -10 - after });
}

/** Reports the gaps of these lines. */
export async function report(key: string, round: TestRound, gaps: Readonly<Record<string, Gaps>>): Promise<unknown> {
  const reports = Object.entries(gaps).map(([id, gap]) => gapReport(id, gap));
  return expectJson(await onRound(key, round, "POST", "reports", { reports }));
}

/** Ends the round; a promoted one with an adapter of its own. */
export async function end(
  key: string,
  round: TestRound,
  verdict: GateResult["verdict"] = "promoted",
): Promise<{ json: object; adapter: string | null; answer: ReturnType<typeof completeResponse.parse> }> {
  const adapter = verdict === "promoted" ? await uploadAdapter(key, round.id) : null;
  const manifest = adapter === null ? null : manifestOf(round);
  const json = { adapter, manifest, gate: gateOf(verdict), metrics: {} };
  return { json, adapter, answer: await expectJson(await onRound(key, round, "POST", "complete", json)) };
}

export interface LifeRow {
  readonly state: string;
  readonly state_reason: string;
  readonly trainings: number;
  readonly home: string | null;
  readonly lease_use: string | null;
  readonly gap: number | null;
  readonly gap_model: string | null;
  readonly high_streak: number;
  readonly low_streak: number;
}

export async function lifeOf(id: string): Promise<LifeRow> {
  const [row] = await rows<LifeRow>("SELECT * FROM pairs WHERE id = ?1", id);
  if (!row) throw new Error(`no pair ${id}`);
  return row;
}

export async function statesOf(ids: readonly string[]): Promise<string[]> {
  return Promise.all(ids.map(async (id) => (await lifeOf(id)).state));
}

/** The counts that triggers keep are those that a count gives. */
export async function expectCounted(): Promise<void> {
  const at = "CASE WHEN state = 'leased' THEN home ELSE state END";
  const fresh = `trainings = 0 AND ${at} = 'ready'`;
  const ofLevel = "FROM pairs p WHERE p.region = l.region AND p.level = l.level";
  const levels = await rows<{ kept: string; counted: string }>(
    `SELECT json_array(l.region, l.level, waiting_open, waiting_yes, waiting_no, again, saturated) AS kept,
            json_array(l.region, l.level, (SELECT count(*) ${ofLevel} AND ${fresh} AND polarity IS NULL),
              (SELECT count(*) ${ofLevel} AND ${fresh} AND polarity = 'yes'),
              (SELECT count(*) ${ofLevel} AND ${fresh} AND polarity = 'no'),
              (SELECT count(*) ${ofLevel} AND ${at} = 'trained'),
              (SELECT count(*) ${ofLevel} AND ${at} = 'saturated')) AS counted FROM region_levels l`,
  );
  const regions = await rows<{ kept: string; counted: string }>(
    `SELECT json_array(key, backlog) AS kept,
            json_array(key, (SELECT count(*) FROM pairs p WHERE p.region = key AND ${fresh})) AS counted FROM regions`,
  );
  for (const { kept, counted } of [...levels, ...regions]) expect(kept).toBe(counted);
}
