import { z } from "zod";
import { ERROR_TYPES, TASKS } from "../taxonomy/taxonomy.ts";
import { boundedText, conversation, fieldProblem, LIMITS, label, sha256, timeMs, wellFormed } from "./common.ts";

const answer = boundedText.regex(/\S/, "must not be blank");

/**
 * One answer of a deployed model, as its client reports it. With `correction` or `reference` it can become training
 * data; `rating: "up"` says that the response was right, which counts as an exposure.
 */
export const failureEvent = z.strictObject({
  eventId: wellFormed.min(1).max(LIMITS.eventIdChars),
  occurredAt: timeMs,
  model: label,
  /** The adapter that answered; null is the base model. */
  adapter: sha256.nullish(),
  conversation,
  response: boundedText.min(1),
  /** What a person wrote instead of the response. */
  correction: answer.optional(),
  /** The right answer, known from elsewhere. */
  reference: answer.optional(),
  rating: z.enum(["up", "down"]).optional(),
  task: z.enum(TASKS).optional(),
  errorType: z.enum(ERROR_TYPES).optional(),
  /** BCP 47, for example `en` or `pt-br`. */
  language: z
    .string()
    .max(35)
    .regex(/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/, "must be a language tag")
    .transform((tag) => tag.toLowerCase())
    .optional(),
});
export type FailureEvent = z.infer<typeof failureEvent>;

/** Events are checked one by one, so that a bad one does not cost the good ones. */
export const failuresRequest = z.strictObject({ events: z.array(z.unknown()).min(1).max(LIMITS.eventsPerRequest) });

export const eventResult = z.object({
  /** As sent, or null when it could not be read. */
  eventId: z.string().nullable(),
  /** `duplicate`: same id, same content. `conflict`: same id, other content; the first one stands. */
  status: z.enum(["stored", "duplicate", "conflict", "invalid"]),
  problems: z.array(fieldProblem).optional(),
});
export type EventResult = z.infer<typeof eventResult>;
export const failuresResponse = z.object({ results: z.array(eventResult) });

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
