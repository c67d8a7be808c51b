import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { z } from "zod";
import {
  type ClaimedRound,
  type claimResponse,
  FENCE_HEADER,
  type GateResult,
  LEASE_HEADER,
} from "../../shared/contracts/training.ts";
import { rows, storePairs, storeSources } from "./fixtures.ts";
import { call, expectJson, sha256Of } from "./support.ts";

/** A trainer, as tests play it. */

export async function claim(key: string, trainer: string): Promise<z.infer<typeof claimResponse>> {
  return expectJson(await call("POST", "/v1/rounds", { key, json: { trainer } }));
}

/** Claims a round that must be given. */
export async function claimRound(key: string, trainer: string): Promise<ClaimedRound> {
  const { round, reason } = await claim(key, trainer);
  if (!round) throw new Error(`nothing was leased: ${reason}`);
  return round;
}

export interface Held {
  id: string;
  lease: { id: string; fence: number };
}

/** A call on a claimed round, with its lease. */
export function onRound(key: string, round: Held, method: string, path: string, json?: unknown): Promise<Response> {
  const headers = { [LEASE_HEADER]: round.lease.id, [FENCE_HEADER]: String(round.lease.fence) };
  return call(method, `/v1/rounds/${round.id}/${path}`, { key, headers, ...(json !== undefined && { json }) });
}

/** All lines of a paged list, with `limit` lines a page. */
export async function allLines<Line>(key: string, round: Held, list: "pairs" | "gate", limit = 500): Promise<Line[]> {
  const lines: Line[] = [];
  let after = "";
  for (;;) {
    const response = await onRound(key, round, "GET", `${list}?limit=${limit}&after=${after}`);
    const text = new TextDecoder().decode(await response.arrayBuffer());
    expect(response.status, text).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const page = text.split("\n").filter((line) => line !== "");
    expect(page.length).toBeLessThanOrEqual(limit);
    lines.push(...page.map((line) => JSON.parse(line) as Line));
    const next = response.headers.get("nearmiss-next");
    if (next === null) return lines;
    after = next;
  }
}

export function scored(pairId: string, fields: Record<string, number> = {}) {
  return {
    pairId,
    chosenBefore: -10,
    rejectedBefore: -11,
    chosenAfter: -8,
    rejectedAfter: -14,
    chosenTokens: 5,
    rejectedTokens: 5,
    ...fields,
  };
}

/** What the gate says of a candidate that won by these numbers. */
export function gateOf(verdict: GateResult["verdict"], fields: Partial<GateResult> = {}): GateResult {
  const all = { name: "all", n: 200, rightBefore: 150, rightAfter: 170, fixed: 25, broken: 5, guard: "held" } as const;
  return {
    verdict,
    reasons: ["25 of 200 items fixed, 5 broken"],
    all: { ...all, lower: 0.05, upper: 0.15 },
    slices: [{ ...all, name: "counting", lower: 0.05, upper: 0.15 }],
    yesRate: { n: 0, before: null, after: null, truth: null },
    alarms: [],
    ...fields,
  };
}

export function manifestOf(round: ClaimedRound) {
  return {
    base: { model: "mini", sha256: "a".repeat(64) },
    processorSha256: "b".repeat(64),
    lora: { r: 8, alpha: 16, targets: ["q_proj"] },
    dtype: "float32",
    parent: round.reference,
    lease: round.lease.id,
    batchSha256: round.batch.sha256,
    objective: "dpo",
    files: { "adapter_model.safetensors": "c".repeat(64) },
  };
}

/** Uploads bytes of its own for the name and gives their hash. */
export async function uploadAdapter(key: string, name: string): Promise<string> {
  const bytes = new TextEncoder().encode(`adapter ${name}`);
  const sha256 = await sha256Of(bytes);
  const response = await call("PUT", `/v1/adapters/${sha256}`, { key, body: bytes });
  if (!response.ok) throw new Error(`the upload was refused: ${await response.text()}`);
  return sha256;
}

/** Uploads an adapter, reports all pairs, and completes the round as promoted. */
export async function promote(
  key: string,
  round: ClaimedRound,
  name: string,
): Promise<{ adapter: string; response: Response }> {
  const adapter = await uploadAdapter(key, name);
  const held = await rows<{ id: string }>("SELECT id FROM pairs WHERE round_id = ?1 AND state = 'leased'", round.id);
  const reports = held.map(({ id }) => scored(id));
  await expectJson(await onRound(key, round, "POST", "reports", { reports }));
  const json = { adapter, manifest: manifestOf(round), gate: gateOf("promoted"), metrics: { loss: 0.5 } };
  return { adapter, response: await onRound(key, round, "POST", "complete", json) };
}

/** Sources `prefix-0` .. with one ready pair each. */
export async function storeReady(prefix: string, count: number): Promise<string[]> {
  const numbers = Array.from({ length: count }, (_, number) => number);
  await storeSources(numbers.map((number) => ({ id: `${prefix}-${number}`, createdAt: number })));
  return storePairs(numbers.map((number) => ({ source: `${prefix}-${number}`, createdAt: number })));
}

/** Makes the round's lease end now, as if its time had passed. */
export async function letExpire(round: Held): Promise<void> {
  await env.DB.prepare("UPDATE leases SET expires_at = 1 WHERE id = ?1").bind(round.lease.id).run();
}

/** Everything that a late holder could damage, in one comparable value. */
export async function everything(): Promise<unknown> {
  const tables = [
    "pairs",
    "rounds",
    "leases",
    "pair_scores",
    "pair_refusals",
    "sentinel_scores",
    "rechecks",
    "regions",
  ];
  return Object.fromEntries(
    await Promise.all(
      [...tables, "region_levels", "pointers", "difficulties", "audit_log", "adapters"].map(async (t) => [
        t,
        await rows(`SELECT * FROM ${t}`),
      ]),
    ),
  );
}
