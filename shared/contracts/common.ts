import { z } from "zod";

/** Every limit of the HTTP contract, named, with its unit. */
export const LIMITS = {
  eventsPerRequest: 500,
  intakeBytes: 1_000_000,
  imageBytes: 8_000_000,
  imagePixels: 40_000_000,
  imageSidePx: 16_384,
  imageFrames: 500,
  imagesPerEvent: 8,
  framesPerEvent: 64,
  turnsPerEvent: 64,
  textChars: 32_000,
  reasonChars: 2_000,
  tagsPerEvent: 32,
  tagChars: 200,
  eventIdChars: 128,
  missingHashesPerRequest: 1_000,
  adapterBytes: 95_000_000,
  reportsPerChunk: 500,
  pairsPerPage: 500,
  jsonBytes: 1_000_000,
  tokenTtlMs: 3_600_000,
  linkTtlMs: 86_400_000,
  keyRotationOverlapMs: 30 * 86_400_000,
} as const;

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits");
/** Milliseconds since the Unix epoch. */
export const timeMs = z.int().min(0).max(8_640_000_000_000_000);
/** Text that UTF-8 can carry. A lone surrogate would come back as another character, and make two ids one. */
export const wellFormed = z.string().refine((text) => text.isWellFormed(), "must be well-formed Unicode");
export const boundedText = wellFormed.max(LIMITS.textChars);
export const label = wellFormed.min(1).max(200);

/**
 * What a key may do. `feedback` is what a browser token carries: reporting for one model, from one origin. `ingest` reports, and
 * makes such tokens; `observe` reads the metrics; `admin` includes them all.
 */
export const SCOPES = ["feedback", "ingest", "train", "observe", "operate", "admin"] as const;
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
  not_configured: 501,
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

/** One frame of a video: an image by its hash, and when it is seen, in milliseconds from the start. */
const frame = z.strictObject({ sha256, timeMs: z.int().min(0).max(86_400_000) });

export const contentPart = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text: boundedText }),
  z.strictObject({ type: z.literal("image"), sha256 }),
  z.strictObject({
    type: z.literal("video"),
    frames: z.array(frame).min(1).max(LIMITS.framesPerEvent).refine(inOrder, "must be in the order of their times"),
  }),
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
    (turns) => countOf(turns, "image") <= LIMITS.imagesPerEvent,
    `must hold at most ${LIMITS.imagesPerEvent} images`,
  )
  .refine((turns) => countOf(turns, "video") <= 1, "must hold at most one video");
export type Conversation = z.infer<typeof conversation>;

/** The image hashes of a conversation, those of video frames too, in order of appearance, repeats kept. */
export function imagesOf(turns: Conversation): string[] {
  return turns.flatMap((t) => t.content.flatMap(imagesOfPart));
}

function imagesOfPart(part: z.infer<typeof contentPart>): string[] {
  if (part.type === "text") return [];
  return part.type === "image" ? [part.sha256] : part.frames.map((one) => one.sha256);
}

function countOf(turns: readonly z.infer<typeof turn>[], type: "image" | "video"): number {
  return turns.reduce((count, t) => count + t.content.filter((part) => part.type === type).length, 0);
}

function inOrder(frames: readonly { readonly timeMs: number }[]): boolean {
  return frames.every((one, index) => index === 0 || one.timeMs >= (frames[index - 1]?.timeMs ?? 0));
}
