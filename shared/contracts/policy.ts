import { z } from "zod";
import { reachesText } from "../redaction/fields.ts";
import { patternProblem } from "../redaction/pattern.ts";
import { wellFormed } from "./common.ts";

const share = z.number().min(0).max(1);

/** One rule of redaction. */
export const redaction = z.strictObject({
  /**
   * Where: a dotted path below the event, `*` for any one step, `**` for any number: `response`,
   * `conversation.*.content.*.text`, `tags.email`; `**` alone is every text.
   */
  path: z.string().min(1).max(200).refine(reachesText, "must lead to a text of an event"),
  /** What: a regular expression in RE2's syntax, which matches in linear time. */
  pattern: z.string().min(1).max(1_000).superRefine(refusePattern),
  /** What stands there instead, word for word. */
  replacement: wellFormed.max(200).default("[redacted]"),
});
export type Redaction = z.infer<typeof redaction>;

/** How the budget of edits is spread over the task space; see shared/hardness for the formulas. */
export const schedulerPolicy = z.strictObject({
  /** Pairs ordered per tick. */
  budgetPairs: z.int().min(1).max(100_000).default(3_000),
  /** `value`: by failures, learnability and cost. `uniform`: the same for every region (the yardstick). */
  allocation: z.enum(["value", "uniform"]).default("value"),
  floorShare: share.default(0.05),
  floorProbes: z.int().min(1).max(100).default(3),
  floorTarget: share.default(0.6),
  capShare: share.default(0.25),
  chunkPairs: z.int().min(1).max(1_000).default(5),
  /** Pairs planned or ready after which a region's next pair is worth 1/e. */
  backlogScalePairs: z.number().min(1).max(1_000_000).default(250),
  /** Share of failures and exposures kept from tick to tick. */
  decay: share.default(0.8),
  refusalPriorWeight: z.number().min(0).max(1_000).default(12),
  refusalPrior: z.tuple([share, share, share, share]).default([0.02, 0.04, 0.08, 0.14]),
  /** The judge's share of wrong edits caught, and of good edits refused. */
  judgeSensitivity: share.default(0.75),
  judgeFalsePositive: share.default(0.05),
  chosenLogRatioAlarm: z.number().max(0).default(-0.5),
});
export type SchedulerPolicy = z.infer<typeof schedulerPolicy>;

export const editorPolicy = z.strictObject({
  /** Rejected answers made for one source. */
  rejectedPerSource: z.int().min(1).max(8).default(2),
  /** A source whose model answered wrongly first gets that answer as a level 4 rejection. */
  ownAnswerFirst: z.boolean().default(true),
  /** Least share of a plan line's sources that the model got wrong (where there are that many), the rest it got right. */
  wrongShare: share.default(0.5),
  modelTimeoutMs: z.int().min(100).max(300_000).default(20_000),
  /** Model failures in a row after which the built-in editor takes over for the rest of the message. */
  modelFailuresToSwitch: z.int().min(1).max(100).default(3),
});
export type EditorPolicy = z.infer<typeof editorPolicy>;

/** What a round does with its batch; read by the trainer. */
export const trainingPolicy = z.strictObject({
  objective: z.enum(["dpo", "sft"]).default("dpo"),
  beta: z.number().positive().max(10).default(0.5),
  /** Weight of the negative log-likelihood of the chosen answer (nats per answer) added to the loss. */
  anchor: z.number().min(0).max(100).default(1),
  learningRate: z.number().positive().max(1).default(2e-4),
  loraRank: z.int().min(1).max(512).default(16),
  epochs: z.number().positive().max(100).default(2),
  groupsPerStep: z.int().min(1).max(4_096).default(16),
  warmupShare: share.default(0.1),
  /** Ready pairs below which no round starts. */
  minPairs: z.int().min(1).max(1_000_000).default(300),
  maxPairs: z.int().min(1).max(1_000_000).default(8_000),
  /** Largest share of a batch from one region. */
  regionCapShare: share.default(0.4),
  maxTrainings: z.int().min(1).max(100).default(3),
  leaseTtlMs: z.int().min(1_000).max(86_400_000).default(120_000),
});
export type TrainingPolicy = z.infer<typeof trainingPolicy>;

/** When a candidate replaces the champion. */
export const gatePolicy = z.strictObject({
  maxItems: z.int().min(1).max(100_000).default(3_000),
  minItems: z.int().min(1).max(100_000).default(100),
  /** One-sided confidence of every bound. */
  confidence: z.number().gt(0.5).lt(1).default(0.95),
  /** Accuracy that a guard slice may lose at most, at its lower bound. */
  guardEpsilon: share.default(0.03),
  /** Items below which a slice is too small to guard. */
  guardMinItems: z.int().min(1).max(100_000).default(40),
  /** Largest move of the share of "yes" away from the truth. */
  yesRateDrift: share.default(0.1),
  chosenLogRatioAlarm: z.number().max(0).default(-0.5),
});
export type GatePolicy = z.infer<typeof gatePolicy>;

/** What becomes of a client's events on their way in. */
export const intakePolicy = z.strictObject({
  /** Models whose events count; events of others are held for an operator. Empty: all models. */
  models: z.array(z.string().min(1).max(200)).max(1_000).default([]),
  /** The better response of a low-reward pair counts as right from this reward on, in the client's own unit; null: never. */
  pairRewardMin: z.number().nullable().default(0.5),
  /** and if it is better by this much. */
  pairRewardGapMin: z.number().min(0).default(0.1),
  /** A response that was rewarded with this or less is wrong, though nobody told the right answer; null: rewards alone say nothing. */
  wrongRewardMax: z.number().nullable().default(null),
  /** Whether the configured teacher model may give the right answers that nobody told. */
  teacher: z.boolean().default(true),
  /** Texts that are replaced before anything is stored. */
  redactions: z.array(redaction).max(50).default([]),
});
export type IntakePolicy = z.infer<typeof intakePolicy>;

/** How long what clients sent is kept. Sources and pairs made of it stay until they are erased. */
export const retentionPolicy = z.strictObject({
  /** Days after which an event leaves the database for the archive. */
  archiveAfterDays: z.number().positive().max(36_500).default(90),
  /** Days after which an archived event is deleted, counted from its arrival. */
  deleteAfterDays: z.number().positive().max(36_500).default(730),
  /** Days for which an image that no event shows is kept: its event may be on the way. */
  imageGraceDays: z.number().min(0).max(36_500).default(7),
});
export type RetentionPolicy = z.infer<typeof retentionPolicy>;

/** Every threshold and budget an operator can tune. */
export const policyDocument = z.strictObject({
  scheduler: schedulerPolicy.prefault({}),
  editor: editorPolicy.prefault({}),
  training: trainingPolicy.prefault({}),
  gate: gatePolicy.prefault({}),
  intake: intakePolicy.prefault({}),
  retention: retentionPolicy.prefault({}),
});
export type PolicyDocument = z.infer<typeof policyDocument>;
export const DEFAULT_POLICY: PolicyDocument = policyDocument.parse({});

function refusePattern(pattern: string, context: z.RefinementCtx): void {
  const message = patternProblem(pattern);
  if (message !== null) context.addIssue({ code: "custom", message });
}
