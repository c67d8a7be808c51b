import { z } from "zod";
import { ERROR_TYPES, TASKS } from "../taxonomy/taxonomy.ts";
import { boundedText, conversation, fieldProblem, LIMITS, label, sha256, timeMs, wellFormed } from "./common.ts";

const answer = boundedText.regex(/\S/, "must not be blank");
const reward = z
  .number()
  .min(-1e6)
  .max(1e6)
  .describe("A score by the client's own measure; only its order and the policy's thresholds mean anything.");
const shortText = wellFormed.max(LIMITS.tagChars);
const name = wellFormed.min(1).max(64);

/** What a failure and a low-reward pair have in common. */
const reported = {
  /** Ids that grow with time are stored fastest. */
  eventId: wellFormed
    .min(1)
    .max(LIMITS.eventIdChars)
    .describe("Chosen by the client; together with the client it names the event for ever."),
  occurredAt: timeMs,
  model: label,
  adapter: sha256.nullish().describe("The adapter that answered; null is the base model."),
  conversation,
  reason: wellFormed.max(LIMITS.reasonChars).optional().describe("Why a person or a program thinks so."),
  task: z.enum(TASKS).optional(),
  errorType: z.enum(ERROR_TYPES).optional(),
  language: z
    .string()
    .max(35)
    .regex(/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/, "must be a language tag")
    .transform((tag) => tag.toLowerCase())
    .optional()
    .describe("BCP 47, for example `en` or `pt-br`."),
  decoding: z
    .record(name, z.union([z.number(), z.boolean(), shortText, z.null()]))
    .refine(isSmall, `must have at most ${LIMITS.tagsPerEvent} entries`)
    .optional()
    .meta({
      description: "How the response was made: temperature, top_p, max_tokens, seed, ...",
      maxProperties: LIMITS.tagsPerEvent,
    }),
  tags: z.record(name, shortText).refine(isSmall, `must have at most ${LIMITS.tagsPerEvent} entries`).optional().meta({
    description: "The client's own labels, for people to find the event by.",
    maxProperties: LIMITS.tagsPerEvent,
  }),
};

/**
 * One answer of a deployed model, as its client reports it. With `correction` or `reference` it can become training
 * data; `rating: "up"` says that the response was right, which counts as an exposure.
 */
export const failureEvent = z.strictObject({
  ...reported,
  response: boundedText.min(1),
  correction: answer.optional().describe("What a person wrote instead of the response."),
  reference: answer.optional().describe("The right answer, known from elsewhere."),
  reward: reward.optional(),
  rating: z.enum(["up", "down"]).optional(),
});
export type FailureEvent = z.infer<typeof failureEvent>;

/** Two responses of a deployed model to one prompt, with their rewards. The policy says when the better one counts as right. */
export const pairEvent = z.strictObject({
  ...reported,
  responses: z
    .tuple([z.strictObject({ text: answer, reward }), z.strictObject({ text: answer, reward })])
    .refine(([a, b]) => a.text !== b.text, "must be two different texts"),
});
export type PairEvent = z.infer<typeof pairEvent>;

/** Events are checked one by one, so that a bad one does not cost the good ones. As NDJSON, one event is one line. */
export const eventsRequest = z.strictObject({ events: z.array(z.unknown()).min(1).max(LIMITS.eventsPerRequest) });

/** Why an event is kept aside: it counts for nothing until an operator releases it. */
export const HOLD_REASONS = ["unknown-adapter", "unknown-model"] as const;
export type HoldReason = (typeof HOLD_REASONS)[number];

export const EVENT_STATUSES = ["stored", "duplicate", "conflict", "invalid", "queued"] as const;
export const eventResult = z.object({
  /** As sent, or null when it could not be read. */
  eventId: z.string().nullable(),
  status: z
    .enum(EVENT_STATUSES)
    .describe(
      "`stored`: committed. `duplicate`: same id, same content. `conflict`: same id, other content; the first one stands. " +
        "`queued`: written down durably, but the database was too busy; it is stored later, as if it came now.",
    ),
  /** A stored event that speaks of something unknown is kept aside until an operator releases it. */
  held: z.enum(HOLD_REASONS).optional(),
  problems: z.array(fieldProblem).optional(),
});
export type EventResult = z.infer<typeof eventResult>;
export const eventsResponse = z.object({ results: z.array(eventResult) });

export const missingImagesRequest = z.strictObject({ sha256: z.array(sha256).max(LIMITS.missingHashesPerRequest) });
export const missingImagesResponse = z.object({ missing: z.array(sha256) });
export const imageStored = z.object({
  sha256,
  mediaType: z.string(),
  width: z.int(),
  height: z.int(),
  bytes: z.int(),
  created: z.boolean(),
});

/** A token that a browser may hold: it reports for one model from one origin, until it expires. */
export const createTokenRequest = z.strictObject({
  model: label,
  /** Scheme, host and port, as browsers send it: `https://app.example`. */
  origin: z
    .string()
    .max(300)
    .regex(/^https?:\/\/[^\s/?#@]+$/, "must be an origin: scheme, host and port"),
  ttlMs: z.int().min(1_000).max(LIMITS.tokenTtlMs).default(900_000),
});
export const createTokenResponse = z.object({ token: z.string(), expiresAt: timeMs });

/** A link that opens one image to whoever holds it, until it expires. */
export const createLinkRequest = z.strictObject({
  sha256,
  ttlMs: z.int().min(1_000).max(LIMITS.linkTtlMs).default(600_000),
});
export const createLinkResponse = z.object({ url: z.string(), expiresAt: timeMs });

function isSmall(entries: Record<string, unknown>): boolean {
  return Object.keys(entries).length <= LIMITS.tagsPerEvent;
}
