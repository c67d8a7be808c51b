import { z } from "zod";

/** Every limit of the HTTP contract, named, with its unit. */
export const LIMITS = {
  eventsPerRequest: 500,
  intakeBytes: 1_000_000,
  imageBytes: 8_000_000,
  imagePixels: 40_000_000,
  imageSidePx: 16_384,
  imagesPerEvent: 8,
  turnsPerEvent: 64,
  textChars: 32_000,
  eventIdChars: 128,
  missingHashesPerRequest: 1_000,
  adapterBytes: 95_000_000,
  reportsPerChunk: 500,
  pairsPerPage: 500,
  jsonBytes: 1_000_000,
} as const;

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits");
/** Milliseconds since the Unix epoch. */
export const timeMs = z.int().min(0).max(8_640_000_000_000_000);
/** Text that UTF-8 can carry. A lone surrogate would come back as another character, and make two ids one. */
export const wellFormed = z.string().refine((text) => text.isWellFormed(), "must be well-formed Unicode");
export const boundedText = wellFormed.max(LIMITS.textChars);
export const label = wellFormed.min(1).max(200);

/** What a key may do. `admin` includes the others. */
export const SCOPES = ["ingest", "train", "operate", "admin"] as const;
export const scope = z.enum(SCOPES);
export type Scope = z.infer<typeof scope>;

/** The closed set of error codes, each with its HTTP status. */
export const ERROR_STATUS = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  unsupported_type: 415,
  unprocessable: 422,
  rate_limited: 429,
  internal: 500,
  overloaded: 503,
} as const;
export type ErrorCode = keyof typeof ERROR_STATUS;

/** One problem with one field of a request. `path` is dotted: `events.3.conversation.0.role`. */
export const fieldProblem = z.object({ path: z.string(), message: z.string() });
export type FieldProblem = z.infer<typeof fieldProblem>;

export const errorBody = z.object({
  error: z.object({
    code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]),
    message: z.string(),
    requestId: z.string(),
    details: z.array(fieldProblem).optional(),
  }),
});
export type ErrorBody = z.infer<typeof errorBody>;

export const contentPart = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text: boundedText }),
  z.strictObject({ type: z.literal("image"), sha256 }),
]);
export const turn = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.array(contentPart).min(1).max(32),
});
/** A prompt: one or many turns, ending with the user's. */
export const conversation = z
  .array(turn)
  .min(1)
  .max(LIMITS.turnsPerEvent)
  .refine((turns) => turns.at(-1)?.role === "user", "must end with a user turn")
  .refine(
    (turns) => turns.flatMap((t) => t.content).filter((p) => p.type === "image").length <= LIMITS.imagesPerEvent,
    `must hold at most ${LIMITS.imagesPerEvent} images`,
  );
export type Conversation = z.infer<typeof conversation>;

/** The image hashes of a conversation, in order of appearance, repeats kept. */
export function imagesOf(turns: Conversation): string[] {
  return turns.flatMap((t) => t.content.flatMap((part) => (part.type === "image" ? [part.sha256] : [])));
}
