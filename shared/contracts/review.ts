import { z } from "zod";
import { boundedText, conversation, label, sha256, timeMs } from "./common.ts";
import { EVENT_STATUSES, HOLD_REASONS } from "./ingest.ts";

/** Events listed at once. */
const PAGE_MAX = 500;

/** `waiting`: nobody told the right answer. `held`: they speak of something unknown. */
export const failuresQuery = z.strictObject({
  state: z.enum(["waiting", "held"]),
  /** The last id of the page before. */
  after: label.optional(),
  limit: z.coerce.number().pipe(z.int().min(1).max(PAGE_MAX)).default(50),
});

export const failureRow = z.object({
  id: z.string(),
  clientId: z.string(),
  eventId: z.string(),
  kind: z.enum(["failure", "pair"]),
  receivedAt: timeMs,
  occurredAt: timeMs,
  model: z.string(),
  adapter: sha256.nullable(),
  conversation,
  /** What the model said; of a low-reward pair the worse response. */
  response: z.string(),
  /** The right answer, null as long as nobody told it. */
  reference: z.string().nullable(),
  verdict: z.enum(["wrong", "right", "unjudged"]),
  region: z.string(),
  /** What else the client said: reason, reward, rating, responses, decoding, tags. */
  details: z.record(z.string(), z.unknown()).nullable(),
  held: z.enum(HOLD_REASONS).nullable(),
  /** Who told the right answer, when it was not the client. */
  answeredBy: z.string().nullable(),
  /** Images of the conversation that were never uploaded. */
  missingImages: z.array(sha256),
});
export const failuresResponse = z.object({
  failures: z.array(failureRow),
  /** To be sent as `after` for the next page; null on the last one. */
  next: z.string().nullable(),
});

/** The right answer to a failure that waits for one. */
export const answerRequest = z.strictObject({ answer: boundedText.regex(/\S/, "must not be blank") });

/** Events held for this reason count from now on. */
export const releaseRequest = z.strictObject({ reason: z.enum(HOLD_REASONS) });
export const releaseResponse = z.object({
  released: z.int(),
  /** Whether there are more: release again. */
  more: z.boolean(),
});

export const intakeResponse = z.object({
  /** Events without a right answer. */
  waiting: z.int(),
  held: z.partialRecord(z.enum(HOLD_REASONS), z.int()),
  /** Requests that the database was too busy for and that are not stored yet; counted up to 1,000. */
  queuedRequests: z.int(),
  /** Age of the oldest of them; ms, null without one. */
  oldestQueuedMs: z.int().nullable(),
  /** Events by what was answered, since the beginning. */
  events: z.record(z.enum(EVENT_STATUSES), z.int()),
});
