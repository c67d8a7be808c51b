import { z } from "zod";
import { ALARMS, LINE_KINDS } from "../hardness/state.ts";
import { conversation, LIMITS, label, scope, sha256, timeMs } from "./common.ts";
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

/** One version of the policy. */
export const policyResponse = z.object({
  version: z.int(),
  document: policyDocument,
  createdAt: timeMs,
  author: z.string(),
  reason: z.string(),
});
const reason = z.string().min(1).max(500);
/** `version` is the one that was edited: an edit of a stale one is refused with 409. */
export const setPolicyRequest = z.strictObject({ version: z.int(), document: policyDocument, reason });
/** Makes the document of an earlier version `to` the next version. `version` is the newest. */
export const rollbackPolicyRequest = z.strictObject({ version: z.int(), to: z.int().min(1), reason });

/** A page of versions, the newest first, below `before`. */
export const policyHistoryQuery = z.strictObject({
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(20),
});
/** One field that differs. `path` is dotted; null where the value is not there. */
export const policyChange = z.object({ path: z.string(), from: z.unknown(), to: z.unknown() });
export const policyHistoryResponse = z.object({
  versions: z.array(
    policyResponse.omit({ document: true }).extend({
      /** Against the version before. */
      changes: z.array(policyChange),
    }),
  ),
  /** The `before` of the next page; null on the last one. */
  next: z.int().nullable(),
});
export const policyDiffQuery = z.strictObject({
  from: z.coerce.number().int().min(1),
  to: z.coerce.number().int().min(1).optional(),
});
export const policyDiffResponse = z.object({ from: z.int(), to: z.int(), changes: z.array(policyChange) });
/** Every field with what an operator has to know to set it. */
export const policyFields = z.object({
  fields: z.array(
    z.object({
      path: z.string(),
      description: z.string(),
      unit: z.string(),
      default: z.unknown(),
      /** JSON Schema of the values that are allowed: type, bounds, choices. */
      schema: z.record(z.string(), z.unknown()),
    }),
  ),
});

/** What the next plan would be under this document, on the statistics as they are now. Nothing is stored. */
export const previewRequest = z.strictObject({ document: policyDocument });
export const previewRegion = z.object({
  region: z.string(),
  pairsBefore: z.int(),
  pairsAfter: z.int(),
  /** Of its line with most pairs; null where it gets none. */
  levelBefore: z.int().nullable(),
  levelAfter: z.int().nullable(),
  /** Pairs of the next batch. */
  quotaBefore: z.int(),
  quotaAfter: z.int(),
});
export const previewResponse = z.object({
  /** The policy that it is held against. */
  version: z.int(),
  changes: z.array(policyChange),
  planned: z.object({ before: z.int(), after: z.int() }),
  expected: z.object({
    tokens: z.object({ before: z.int(), after: z.int() }),
    micros: z.object({ before: z.int(), after: z.int() }),
  }),
  /** Half the sum of the changes of all regions' shares of the plan, 0 to 1. */
  moved: z.number(),
  /** Regions whose pairs, level or quota change, those that move most first. */
  regions: z.array(previewRegion),
  /** One sentence. */
  summary: z.string(),
});

export const tickRequest = z.strictObject({ slot: label.optional(), seed: z.int().min(0).max(0xffffffff).optional() });
export const planLine = z.object({
  region: z.string(),
  level: z.int(),
  pairs: z.int(),
  kind: z.enum(LINE_KINDS),
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
  alarms: z.array(z.enum(ALARMS)),
  sentence: z.string(),
});
const tickHead = z.object({
  id: z.int(),
  slot: z.string(),
  at: timeMs,
  policyVersion: z.int(),
  inputsSha256: sha256,
  planSha256: sha256,
  jobs: z.int(),
});
export const tickResponse = tickHead.extend({
  /** False when this slot already had its plan. */
  created: z.boolean(),
  plan: z.object({
    lines: z.array(planLine),
    planned: z.int(),
    budget: z.int(),
    expected: z.object({ tokens: z.int(), micros: z.int() }),
    stopped: z.enum(["budget", "tokens", "money", "cap", "supply", "no value left"]),
  }),
});
/** A page of ticks, the newest first, below `before`. */
export const ticksQuery = z.strictObject({
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const ticksResponse = z.object({ ticks: z.array(tickHead), next: z.int().nullable() });
/** A stored tick to make again: the very bytes of its inputs and its plan. */
export const tickRecord = tickHead.extend({ format: z.int(), seed: z.int(), inputs: z.string(), plan: z.string() });

/** Why a region got what it got, and what would have to change. */
export const explanation = z.object({
  region: z.string(),
  pairs: z.int(),
  lines: z.array(planLine),
  /** Sentences: what decided. */
  why: z.array(z.string()),
  /** Sentences: what would have to change for it to get more, fewer, or another level. */
  otherwise: z.array(z.string()),
});
export const explanationQuery = z.strictObject({ region: z.string().max(300).optional() });
export const explanationResponse = z.object({
  tick: tickHead,
  /** How the budget went, in sentences. */
  summary: z.array(z.string()),
  /** All that got pairs, the most first; or the one that was asked for. */
  regions: z.array(explanation),
});

/** A region, or all regions of a task and error type taken together. */
const regionNumbers = z.object({
  key: z.string(),
  failures: z.number(),
  exposures: z.number(),
  totalFailures: z.int(),
  totalExposures: z.int(),
});
export const regionRow = regionNumbers.extend({
  failureMass: z.number(),
  ability: z.number(),
  abilityVariance: z.number(),
  level: z.int(),
  stairLevel: z.int(),
  backlog: z.int(),
  scored: z.int(),
  chosenLogRatio: z.number(),
  costTokens: z.number(),
  costMicros: z.number(),
  alarms: z.array(z.enum(ALARMS)),
  archivedAt: timeMs.nullable(),
  /** Of a region with few exposures: its task and error type in all languages and modalities. */
  parent: regionNumbers.nullable(),
});
/** A page of regions, the heaviest first. */
export const regionsQuery = z.strictObject({
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(2_000).default(2_000),
  archived: z.enum(["no", "yes"]).default("no"),
});
export const regionsResponse = z.object({ regions: z.array(regionRow), next: z.int().nullable() });

export const PAIR_STATES = [
  "ready",
  "leased",
  "trained",
  "saturated",
  "quarantined",
  "rejected",
  "parked",
  "expired",
] as const;
export const pairState = z.enum(PAIR_STATES);
export type PairState = z.infer<typeof pairState>;
export const pairRow = z.object({
  id: z.string(),
  region: z.string(),
  level: z.int(),
  origin: z.string(),
  state: pairState,
  stateReason: z.string().nullable(),
  stateAt: timeMs,
  createdAt: timeMs,
  trainings: z.int(),
  sentinel: z.boolean(),
  gap: z.number().nullable(),
  conversation,
  chosen: z.string(),
  rejected: z.string(),
});
/** A page of pairs by id, after `after`. */
export const pairsQuery = z.strictObject({
  state: pairState.optional(),
  region: z.string().max(300).optional(),
  after: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const pairsResponse = z.object({ pairs: z.array(pairRow), next: z.string().nullable() });
export const pairDetail = pairRow.extend({
  sourceId: z.string(),
  failureId: z.string().nullable(),
  jobId: z.string(),
  tickId: z.int(),
  scores: z.array(
    z.object({
      roundId: z.string(),
      at: timeMs,
      gapBefore: z.number(),
      gapAfter: z.number(),
      verdict: verdict.nullable(),
    }),
  ),
  rechecks: z.array(
    z.object({
      why: z.string(),
      state: z.enum(["queued", "waiting", "done"]),
      verdict: z.enum(["valid", "invalid"]).nullable(),
      judge: z.string().nullable(),
      reason: z.string().nullable(),
      createdAt: timeMs,
      finishedAt: timeMs.nullable(),
    }),
  ),
});
/**
 * What an operator decides about pairs. `quarantine` doubts them, `restore` makes quarantined, parked and expired ones ready again,
 * `reject` ends them. Leased pairs and sentinels are left alone and told in `skipped`.
 */
export const movePairsRequest = z.strictObject({
  ids: z.array(label).min(1).max(500),
  to: z.enum(["quarantine", "restore", "reject"]),
  reason,
});
export const movePairsResponse = z.object({
  moved: z.array(z.string()),
  skipped: z.array(z.object({ id: z.string(), why: z.string() })),
});

/** Spending of one day. */
export const spendingDay = z.object({
  day: z.string(),
  tokensReserved: z.int(),
  tokensSpent: z.int(),
  microsReserved: z.int(),
  microsSpent: z.int(),
});
export const spendingQuery = z.strictObject({ days: z.coerce.number().int().min(1).max(366).default(30) });
export const spendingResponse = z.object({
  limits: z.object({ tokensPerDay: z.int(), microsPerDay: z.int() }),
  /** The newest first. */
  days: z.array(spendingDay),
});

/** Who changed what. A page, the newest first, below `before`. */
export const auditQuery = z.strictObject({
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  /** Only actions that begin so: `policy.` */
  action: z.string().max(100).optional(),
});
export const auditResponse = z.object({
  entries: z.array(
    z.object({
      id: z.int(),
      at: timeMs,
      actor: z.string(),
      action: z.string(),
      subject: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
  ),
  next: z.int().nullable(),
});

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
