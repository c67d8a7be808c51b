import { z } from "zod";
import { reachesText } from "../redaction/fields.ts";
import { patternProblem } from "../redaction/pattern.ts";
import { wellFormed } from "./common.ts";

/** What operators are told of a field beside its bounds and its default. */
export interface FieldMeta {
  /** One sentence. */
  readonly description: string;
  /** Empty for plain numbers, switches and names. */
  readonly unit: string;
}

function field<T extends z.ZodType>(schema: T, unit: string, description: string): T {
  return schema.meta({ description, unit });
}

const share = (initial: number, description: string) =>
  field(z.number().min(0).max(1).default(initial), "share", description);
const count = (initial: number, [least, most]: readonly [number, number], unit: string, description: string) =>
  field(z.int().min(least).max(most).default(initial), unit, description);
const amount = (initial: number, [least, most]: readonly [number, number], unit: string, description: string) =>
  field(z.number().min(least).max(most).default(initial), unit, description);

/** One rule of redaction. */
export const redaction = z.strictObject({
  path: z
    .string()
    .min(1)
    .max(200)
    .refine(reachesText, "must lead to a text of an event")
    .meta({
      description:
        "Where: a dotted path below the event, `*` for any one step, `**` for any number: `response`, " +
        "`conversation.*.content.*.text`, `tags.email`; `**` alone is every text.",
    }),
  pattern: z.string().min(1).max(1_000).superRefine(refusePattern).meta({
    description: "What: a regular expression in RE2's syntax, which matches in linear time.",
  }),
  replacement: wellFormed.max(200).default("[redacted]").meta({
    description: "What stands there instead, word for word.",
  }),
});
export type Redaction = z.infer<typeof redaction>;

// A region's key, any part of which may be `*`, as in counting/count-near/*/image.
const regionPattern = z
  .string()
  .max(200)
  .regex(/^[^/\s]+\/[^/\s]+\/[^/\s]+\/[^/\s]+$/, "must be task/error/language/modality, each of which may be *");

/** How the budget of edits is spread over the task space; see shared/hardness for the formulas. */
export const schedulerPolicy = z.strictObject({
  budgetPairs: count(3_000, [1, 100_000], "pairs", "Pairs ordered per tick."),
  allocation: field(
    z.enum(["value", "uniform"]).default("value"),
    "",
    "How pairs are spread: by failures, learnability and cost, or the same for every region (the yardstick).",
  ),
  staircase: field(
    z.array(regionPattern).max(1_000).default([]),
    "regions",
    "Regions that the staircase steers instead, for comparison; any part of a key may be *.",
  ),
  staircaseLow: share(0.4, "Measured accuracy below which the staircase takes the level below."),
  staircaseHigh: share(0.8, "Measured accuracy above which the staircase takes the level above."),
  floorShare: share(0.05, "Part of the budget that goes to the regions that waited longest."),
  floorProbes: count(3, [1, 100], "pairs", "Pairs of one such probe."),
  floorTarget: share(0.6, "Predicted accuracy that probes look for."),
  capShare: share(0.25, "Largest part of the budget for one region."),
  chunkPairs: count(5, [1, 1_000], "pairs", "Pairs given to a region before the regions are compared again."),
  backlogScalePairs: amount(
    250,
    [1, 1_000_000],
    "pairs",
    "Pairs planned or ready after which a region's next pair is worth 1/e.",
  ),
  gainBase: amount(
    1.1,
    [0, 10],
    "",
    "Worth of learning at full accuracy, in the gain 4 p (1 - p) (base + tilt (1 - p)).",
  ),
  gainTilt: amount(-0.2, [-10, 10], "", "How much more harder pairs are worth in that gain."),
  noisePenalty: amount(0.5, [0, 10], "", "What a wrong pair costs, in units of what a right one gains at most."),
  decay: share(0.8, "Part of failures and exposures that is kept from tick to tick."),
  clientShareCap: share(
    0.05,
    "Largest part that one client can have of a tick's counted failures, of its exposures, and of those of one task, language and modality, if it is more than twice what the client in the middle reports; 1: no limit.",
  ),
  refusalPriorWeight: amount(12, [0, 1_000], "edits", "Edits that the prior refusal rate weighs as much as."),
  refusalPrior: field(
    z
      .tuple([z.number().min(0).max(1), z.number().min(0).max(1), z.number().min(0).max(1), z.number().min(0).max(1)])
      .default([0.02, 0.04, 0.08, 0.14]),
    "share",
    "Share of edits refused at levels 1 to 4 before any was tried.",
  ),
  judgeSensitivity: share(0.75, "Share of wrong edits that the checks catch."),
  judgeFalsePositive: share(0.05, "Share of good edits that the checks refuse."),
  chosenLogRatioAlarm: field(
    z.number().max(0).default(-0.5),
    "nats",
    "Mean change of the chosen answers' log-probability below which a region's level may not rise.",
  ),
  archiveAfterDays: amount(
    60,
    [0.01, 36_500],
    "days",
    "Days without a failure after which a region without ready pairs is left out of plans.",
  ),
  sparseExposures: count(
    30,
    [0, 1_000_000],
    "exposures",
    "Exposures below which a region is shown together with its parent.",
  ),
});
export type SchedulerPolicy = z.infer<typeof schedulerPolicy>;

/** What may be spent on models, and what they cost. Money is in millionths of the operator's currency. */
export const spendingPolicy = z.strictObject({
  tokensPerDay: count(20_000_000, [0, 1_000_000_000_000], "tokens", "Tokens that models may use in a day (UTC)."),
  microsPerDay: count(
    20_000_000,
    [0, 1_000_000_000_000],
    "micro-units",
    "Money that models may cost in a day (UTC); counts once prices are set.",
  ),
  inputMicrosPerMillion: count(0, [0, 10_000_000_000], "micro-units", "Price of a million tokens read."),
  outputMicrosPerMillion: count(0, [0, 10_000_000_000], "micro-units", "Price of a million tokens written."),
  outputTokensPerCall: count(512, [16, 32_768], "tokens", "Tokens that one call may write."),
});
export type SpendingPolicy = z.infer<typeof spendingPolicy>;

export const editorPolicy = z.strictObject({
  rejectedPerSource: count(2, [1, 8], "answers", "Rejected answers made for one source."),
  ownAnswerFirst: field(
    z.boolean().default(true),
    "",
    "A source whose model answered wrongly first gets that answer as a level 4 rejection.",
  ),
  wrongShare: share(
    0.5,
    "Least share of a plan line's sources that the model got wrong (where there are that many), the rest it got right.",
  ),
  modelTimeoutMs: count(20_000, [100, 300_000], "ms", "Time that a model has for one reply, retries included."),
  modelFailuresToSwitch: count(
    3,
    [1, 100],
    "failures",
    "Model failures in a row after which the built-in editor takes over for the rest of the message.",
  ),
});
export type EditorPolicy = z.infer<typeof editorPolicy>;

/** What a round does with its batch; read by the trainer. */
export const trainingPolicy = z.strictObject({
  objective: field(z.enum(["dpo", "sft"]).default("dpo"), "", "What is optimised."),
  beta: field(z.number().positive().max(10).default(0.5), "", "DPO's temperature."),
  anchor: amount(
    1,
    [0, 100],
    "",
    "Weight of the negative log-likelihood of the chosen answer (nats per answer) added to the loss.",
  ),
  learningRate: field(z.number().positive().max(1).default(2e-4), "", "Peak learning rate."),
  loraRank: count(16, [1, 512], "", "Rank of the adapter."),
  epochs: field(z.number().positive().max(100).default(2), "epochs", "Times that each pair is trained on in a round."),
  groupsPerStep: count(16, [1, 4_096], "groups", "Groups per optimiser step."),
  warmupShare: share(0.1, "Part of the steps in which the learning rate rises."),
  order: field(
    z.enum(["shuffled", "easy-to-hard"]).default("shuffled"),
    "",
    "In which order groups are trained on; easy to hard goes by predicted accuracy.",
  ),
  minPairs: count(300, [1, 1_000_000], "pairs", "Ready pairs below which no round starts by itself."),
  maxPairs: count(8_000, [1, 1_000_000], "pairs", "Pairs of a batch at most."),
  regionCapShare: share(0.25, "Largest share of a batch from one region."),
  maxTrainings: count(3, [1, 100], "rounds", "Promoted rounds that one pair is trained in at most."),
  leaseTtlMs: count(120_000, [1_000, 86_400_000], "ms", "Time after which a silent trainer loses its round."),
});
export type TrainingPolicy = z.infer<typeof trainingPolicy>;

/** When a round starts, and what its batch is made of. */
export const batchPolicy = z.strictObject({
  startPairs: count(2_000, [1, 1_000_000], "pairs", "Ready pairs at which a round starts in any case."),
  startFixes: amount(
    20,
    [0, 1_000_000],
    "failures per tick",
    "Failures that a round must be expected to avoid, to start with fewer ready pairs.",
  ),
  startAfterDays: amount(7, [0.01, 3_650], "days", "Days after the last round after which one starts anyway."),
  bandLow: share(0.15, "Predicted accuracy below which pairs are outside the band."),
  bandHigh: share(0.9, "Predicted accuracy above which pairs are outside the band."),
  outsideShare: share(0.2, "Largest part of a batch from outside the band."),
  againShare: share(0.1, "Largest part of a batch that was trained on before and is not mastered yet."),
  replayShare: share(0.1, "Part of a batch that repeats mastered pairs of regions without new ones."),
  rescoreShare: share(0.02, "Part of the mastered pairs that a round scores again, without training on them."),
  sentinelShare: share(
    0.02,
    "Part of a batch that is known pairs and their swapped twins, scored and never trained on.",
  ),
  pairsPerImage: count(8, [1, 10_000], "pairs", "Pairs of a batch that may show one image."),
  templateCapShare: share(0.5, "Largest part of a batch whose questions begin alike."),
  blindAccuracyMax: field(
    z.number().min(0.5).max(1).default(0.65),
    "share",
    "A batch whose answers can be told apart without the image more often than this is not trained on.",
  ),
  duplicateShareMax: share(0.01, "Nor one with more pairs than this that say the same as another."),
});
export type BatchPolicy = z.infer<typeof batchPolicy>;

/** When a pair has done its work, and when it is doubted. Gaps are log P(chosen) - log P(rejected). */
export const pairsPolicy = z.strictObject({
  saturatedGap: amount(2.5, [0, 1_000], "nats", "Gap above which a scoring counts as mastered."),
  quarantineGap: field(z.number().max(0).default(-0.5), "nats", "Gap below which a scoring speaks against the pair."),
  scoringsInRow: count(2, [1, 20], "scorings", "Such scorings in a row, under different models, that decide."),
  quarantineAbove: share(0.6, "Predicted accuracy of the region from which such pairs are doubted."),
  flipPosterior: share(0.06, "Probability of swapped answers above which a pair is checked again: a check is cheap."),
  flipPrior: share(0.04, "Share of pairs whose answers are taken to be swapped before anything is measured."),
  recheckShareMax: share(0.15, "Largest share of scored pairs that a round sends to be checked again."),
  parkedBelow: share(0.15, "Predicted accuracy below which a pair that stays wrong is put aside."),
  expireAfterDays: amount(
    90,
    [0.01, 36_500],
    "days",
    "Days after which a ready pair that was never trained on expires.",
  ),
  sentinelShare: share(0.02, "Part of the accepted pairs whose answers are known that becomes sentinels."),
});
export type PairsPolicy = z.infer<typeof pairsPolicy>;

/** When a region is shown with an alarm. An alarm holds its level; it never takes pairs from it. */
export const alarmsPolicy = z.strictObject({
  rateSlack: amount(
    0.5,
    [0, 10],
    "deviations",
    "Rise of the failure rate that Page and Hinkley's test forgives per tick.",
  ),
  rateThreshold: amount(
    5,
    [0.1, 1_000],
    "deviations",
    "Sum of the rises beyond that, at which the failure rate has jumped.",
  ),
  surprise: amount(2.5, [0.1, 100], "deviations", "Distance of measured and predicted accuracy that is a surprise."),
  firstScoring: share(0.95, "Accuracy of pairs never trained on, above which style may give the answers away."),
  firstScoringMin: count(20, [1, 1_000_000], "pairs", "Pairs that this takes."),
  stillRounds: count(
    5,
    [1, 1_000],
    "rounds",
    "Rounds with training and without a rise of ability after which a region does not move.",
  ),
  sentinelAccuracy: share(0.95, "Share of sentinels and twins that must mirror each other."),
});
export type AlarmsPolicy = z.infer<typeof alarmsPolicy>;

/** When a candidate replaces the champion. */
export const gatePolicy = z.strictObject({
  maxItems: count(3_000, [1, 100_000], "items", "Questions of the gate at most."),
  minItems: count(100, [1, 100_000], "items", "Questions below which nothing is promoted."),
  confidence: field(z.number().gt(0.5).lt(1).default(0.95), "share", "One-sided confidence of every bound."),
  guardEpsilon: share(0.03, "Accuracy that a guard slice may lose at most, at its lower bound."),
  guardMinItems: count(40, [1, 100_000], "items", "Items below which a slice is too small to guard."),
  yesRateDrift: share(0.1, 'Largest move of the share of "yes" away from the truth.'),
  chosenLogRatioAlarm: field(
    z.number().max(0).default(-0.5),
    "nats",
    "Mean change of the chosen answers' log-probability below which nothing is promoted.",
  ),
});
export type GatePolicy = z.infer<typeof gatePolicy>;

/** What becomes of a client's events on their way in. */
export const intakePolicy = z.strictObject({
  models: field(
    z.array(z.string().min(1).max(200)).max(1_000).default([]),
    "models",
    "Models whose events count; events of others are held for an operator. Empty: all models.",
  ),
  pairRewardMin: field(
    z.number().nullable().default(0.5),
    "the client's",
    "The better response of a low-reward pair counts as right from this reward on; null: never.",
  ),
  pairRewardGapMin: field(
    z.number().min(0).default(0.1),
    "the client's",
    "By how much it must be better than the other to count as right.",
  ),
  wrongRewardMax: field(
    z.number().nullable().default(null),
    "the client's",
    "A response with this reward or less is wrong, though nobody told the right answer; null: rewards alone say nothing.",
  ),
  teacher: field(
    z.boolean().default(true),
    "",
    "Whether the configured teacher model may give the right answers that nobody told.",
  ),
  redactions: field(
    z.array(redaction).max(50).default([]),
    "rules",
    "Texts that are replaced before anything is stored.",
  ),
});
export type IntakePolicy = z.infer<typeof intakePolicy>;

/** How long what clients sent is kept. Sources and pairs made of it stay until they are erased. */
export const retentionPolicy = z.strictObject({
  archiveAfterDays: field(
    z.number().positive().max(36_500).default(90),
    "days",
    "Days after which an event leaves the database for the archive.",
  ),
  deleteAfterDays: field(
    z.number().positive().max(36_500).default(730),
    "days",
    "Days after which an archived event is deleted, counted from its arrival.",
  ),
  imageGraceDays: amount(
    7,
    [0, 36_500],
    "days",
    "Days for which an image that no event shows is kept: its event may be on the way.",
  ),
});
export type RetentionPolicy = z.infer<typeof retentionPolicy>;

/** Every threshold and budget an operator can tune. */
export const policyDocument = z.strictObject({
  scheduler: schedulerPolicy.prefault({}),
  spending: spendingPolicy.prefault({}),
  editor: editorPolicy.prefault({}),
  batch: batchPolicy.prefault({}),
  training: trainingPolicy.prefault({}),
  pairs: pairsPolicy.prefault({}),
  alarms: alarmsPolicy.prefault({}),
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
