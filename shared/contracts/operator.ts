import { z } from "zod";
import { LIMITS, label, scope, sha256, timeMs } from "./common.ts";
import { policyDocument } from "./policy.ts";
import { gateResult, verdict } from "./training.ts";

/** Reports of one client that count per region and tick, unless the operator allows more for a gateway that speaks for many users. */
export const DEFAULT_REPORT_CAP = 3;

/** Events and other calls that one key may send in a calendar minute (UTC). */
const eventsPerMinute = z.int().min(1).max(1_000_000_000);
const requestsPerMinute = z.int().min(1).max(1_000_000_000);

export const createKeyRequest = z.strictObject({
  client: label,
  scopes: z.array(scope).min(1),
  reportCap: z.int().min(1).max(1_000_000).default(DEFAULT_REPORT_CAP),
  eventsPerMinute: eventsPerMinute.default(60_000),
  requestsPerMinute: requestsPerMinute.default(6_000),
  /** When the key stops working by itself; never, when it is left out. */
  expiresAt: timeMs.optional(),
});
/** `key` is shown this once; only its hash is stored. */
export const createKeyResponse = z.object({
  id: z.string(),
  clientId: z.string(),
  key: z.string(),
  scopes: z.array(scope),
});
/** A new key for the same client with the same rights; the old one works for `overlapMs` more. */
export const rotateKeyRequest = z.strictObject({
  overlapMs: z.int().min(0).max(LIMITS.keyRotationOverlapMs).default(86_400_000),
});
export const keyRow = z.object({
  id: z.string(),
  clientId: z.string(),
  client: z.string(),
  scopes: z.array(scope),
  eventsPerMinute,
  requestsPerMinute,
  createdAt: timeMs,
  expiresAt: timeMs.nullable(),
  revokedAt: timeMs.nullable(),
  /** The minute of the last call with this key, null before the first. */
  lastUsedAt: timeMs.nullable(),
  /** The key that this one took over from. */
  rotatedFrom: z.string().nullable(),
});
export const keysResponse = z.object({ keys: z.array(keyRow) });

export const policyResponse = z.object({
  version: z.int(),
  document: policyDocument,
  createdAt: timeMs,
  author: z.string(),
  reason: z.string(),
});
/** `version` is the one that was edited: an edit of a stale one is refused with 409. */
export const setPolicyRequest = z.strictObject({
  version: z.int(),
  document: policyDocument,
  reason: z.string().min(1).max(500),
});

export const tickRequest = z.strictObject({ slot: label.optional(), seed: z.int().min(0).max(0xffffffff).optional() });
export const planLine = z.object({
  region: z.string(),
  level: z.int(),
  pairs: z.int(),
  kind: z.enum(["floor", "value", "uniform"]),
  rank: z.int(),
  predicted: z.number(),
  interval: z.tuple([z.number(), z.number()]),
  gain: z.number(),
  failureMass: z.number(),
  refusalRate: z.number(),
  cost: z.number(),
  valueAtEntry: z.number(),
  valueAtStop: z.number(),
  capped: z.boolean(),
  sentence: z.string(),
});
export const tickResponse = z.object({
  id: z.int(),
  slot: z.string(),
  at: timeMs,
  /** False when this slot already had its plan. */
  created: z.boolean(),
  policyVersion: z.int(),
  inputsSha256: sha256,
  planSha256: sha256,
  jobs: z.int(),
  plan: z.object({ lines: z.array(planLine), planned: z.int(), budget: z.int() }),
});

export const regionRow = z.object({
  key: z.string(),
  failures: z.number(),
  exposures: z.number(),
  totalFailures: z.int(),
  totalExposures: z.int(),
  failureMass: z.number(),
  ability: z.number(),
  abilityVariance: z.number(),
  level: z.int(),
  backlog: z.int(),
  scored: z.int(),
  chosenLogRatio: z.number(),
});
export const regionsResponse = z.object({ regions: z.array(regionRow) });

/** What came of one tick's edit jobs. */
export const tickJobs = z.object({
  tickId: z.int(),
  asked: z.int(),
  accepted: z.int(),
  refused: z.int(),
  failed: z.int(),
  queued: z.int(),
  reasons: z.record(z.string(), z.int()),
  editors: z.record(z.string(), z.int()),
});

export const roundRow = z.object({
  id: z.string(),
  trainer: z.string(),
  state: z.enum(["claimed", "completed", "released", "expired"]),
  createdAt: timeMs,
  finishedAt: timeMs.nullable(),
  reference: sha256.nullable(),
  pairs: z.int(),
  progress: z.record(z.string(), z.unknown()),
  adapter: sha256.nullable(),
  verdict: verdict.nullable(),
  gate: gateResult.nullable(),
  metrics: z.record(z.string(), z.number()).nullable(),
});
export const roundsResponse = z.object({ rounds: z.array(roundRow) });
