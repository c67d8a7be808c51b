import { z } from "zod";
import { ERROR_TYPES, TASKS } from "../taxonomy/taxonomy.ts";
import { conversation, LIMITS, label, sha256, timeMs } from "./common.ts";
import { gatePolicy, trainingPolicy } from "./policy.ts";

/** Sent with every call on a claimed round: the lease's id and fence. A late holder gets 409. */
export const LEASE_HEADER = "nearmiss-lease";
export const FENCE_HEADER = "nearmiss-fence";
/** On an NDJSON page: the `after` of the next page; absent on the last one. */
export const NEXT_HEADER = "nearmiss-next";

/** With `demand` a round starts with as few pairs as there are; otherwise when the policy says that it is time. */
export const claimRequest = z.strictObject({ trainer: label, demand: z.boolean().default(false) });
export const claimedRound = z.object({
  id: z.string(),
  resumed: z.boolean(),
  lease: z.object({ id: z.string(), fence: z.int(), expiresAt: timeMs, ttlMs: z.int() }),
  /** The champion, which is the reference; null is the base model. */
  reference: sha256.nullable(),
  batch: z.object({ pairs: z.int(), sha256 }),
  policy: z.object({ version: z.int(), training: trainingPolicy, gate: gatePolicy }),
});
export type ClaimedRound = z.infer<typeof claimedRound>;
/** `round` is null when there is nothing to train; `reason` says why. */
export const claimResponse = z.object({ round: claimedRound.nullable(), reason: z.string().optional() });

/** One line of `GET /v1/rounds/{id}/pairs`. Pairs with one `group` share prompt, images and chosen answer. */
export const pairLine = z.object({
  id: z.string(),
  group: z.string(),
  region: z.string(),
  task: z.enum(TASKS),
  errorType: z.enum(ERROR_TYPES),
  level: z.int().min(1).max(4),
  origin: z.string(),
  conversation,
  chosen: z.string(),
  rejected: z.string(),
  /** `score`: its log-probabilities are reported before and after the training, and it is never trained on. */
  use: z.enum(["train", "score"]),
  /** Predicted accuracy of the deployed model on it, 0 to 1: the higher, the easier. */
  predicted: z.number(),
});
export type PairLine = z.infer<typeof pairLine>;

/** One line of `GET /v1/rounds/{id}/gate`: a question whose right answer is known, on an image that is never trained on. */
export const gateLine = z.object({
  id: z.string(),
  task: z.enum(TASKS),
  region: z.string(),
  conversation,
  answer: z.string(),
});
export type GateLine = z.infer<typeof gateLine>;

export const heartbeatRequest = z.strictObject({
  phase: z.enum(["fetch", "score", "train", "rescore", "gate", "upload", "preempted"]),
  step: z.int().min(0),
  steps: z.int().min(0),
});
export const heartbeatResponse = z.object({ expiresAt: timeMs });

const nats = z.number();
/** Log-probabilities are sums over the answer's tokens, in nats; `before` is under the reference, `after` under the trained model. */
export const pairReport = z.union([
  z.strictObject({
    pairId: z.string(),
    chosenBefore: nats,
    rejectedBefore: nats,
    chosenAfter: nats,
    rejectedAfter: nats,
    chosenTokens: z.int().min(1),
    rejectedTokens: z.int().min(1),
  }),
  /** The trainer could not use the pair: it was not trained on. */
  z.strictObject({ pairId: z.string(), refused: z.string().min(1).max(500) }),
]);
export const reportsRequest = z.strictObject({ reports: z.array(pairReport).min(1).max(LIMITS.reportsPerChunk) });
/** `unknown` are ids that the round does not hold. `erased` counts pairs that were deleted on request since it began. */
export const reportsResponse = z.object({
  stored: z.int(),
  duplicate: z.int(),
  unknown: z.array(z.string()),
  erased: z.int(),
});

/** Paired counts of one slice of the gate set, candidate against reference, item by item. */
export const gateSlice = z.strictObject({
  name: z.string(),
  n: z.int().min(0),
  rightBefore: z.int().min(0),
  rightAfter: z.int().min(0),
  fixed: z.int().min(0),
  broken: z.int().min(0),
  /** Bounds of the change of accuracy at the policy's confidence; null when n is 0. */
  lower: z.number().nullable(),
  upper: z.number().nullable(),
  guard: z.enum(["held", "fell", "too small to say"]),
});
export const verdict = z.enum(["promoted", "rejected", "inconclusive"]);
export type Verdict = z.infer<typeof verdict>;
export const gateResult = z.strictObject({
  verdict,
  /** One sentence per reason, with its numbers. */
  reasons: z.array(z.string()).min(1).max(50),
  all: gateSlice,
  slices: z.array(gateSlice).max(100),
  yesRate: z.strictObject({
    n: z.int(),
    before: z.number().nullable(),
    after: z.number().nullable(),
    truth: z.number().nullable(),
  }),
  alarms: z.array(z.string()).max(50),
});
export type GateResult = z.infer<typeof gateResult>;

/** `PUT /v1/adapters/{sha256}`; `created` is false when it was stored already. */
export const adapterStored = z.object({ sha256, bytes: z.int(), created: z.boolean() });

/** What an adapter is and came from. */
export const adapterManifest = z.strictObject({
  base: z.strictObject({ model: label, sha256 }),
  processorSha256: sha256,
  lora: z.strictObject({ r: z.int(), alpha: z.number(), targets: z.array(z.string()) }),
  dtype: z.string(),
  parent: sha256.nullable(),
  lease: z.string(),
  batchSha256: sha256,
  objective: z.string(),
  files: z.record(z.string(), sha256),
});
export const trainingMetrics = z.record(z.string(), z.number());
export const completeRequest = z.strictObject({
  /** Null when the round ended without an adapter to keep. */
  adapter: sha256.nullable(),
  manifest: adapterManifest.nullable(),
  gate: gateResult,
  metrics: trainingMetrics,
});
/** `verdict` as stored: a promotion is turned down to `rejected` when the champion moved meanwhile. */
export const completeResponse = z.object({ verdict, champion: sha256.nullable() });
export const releaseRequest = z.strictObject({ reason: z.string().min(1).max(500) });

export const championResponse = z.object({
  adapter: sha256.nullable(),
  previous: sha256.nullable(),
  roundId: z.string().nullable(),
  updatedAt: timeMs,
});
