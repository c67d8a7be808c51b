/** The events of the API as its clients write them. The package stands alone, so they are written down here once more. */

/** What a question is about. */
export type Task =
  | "object"
  | "colour"
  | "size"
  | "background"
  | "existence"
  | "counting"
  | "spatial"
  | "referential"
  | "reasoning"
  | "captioning"
  | "comparison"
  | "ocr"
  | "temporal"
  | "dialogue"
  | "step"
  | "other";

/** In which way an answer is wrong. */
export type ErrorType =
  | "existence-add"
  | "existence-omit"
  | "position-inversion"
  | "count-near"
  | "count-far"
  | "attribute"
  | "attribute-swap"
  | "role-swap"
  | "action"
  | "comparison-inversion"
  | "negation"
  | "text-misread"
  | "temporal-order"
  | "identity"
  | "scene"
  | "knowledge"
  | "reasoning-step"
  | "language-slip";

/** An image by the SHA-256 of its bytes: 64 lower-case hex digits. */
export interface ImageHash {
  sha256: string;
}
/** An image of the list that is given to `report()`, by its index. Its hash is computed before it is sent. */
export interface ImageIndex {
  image: number;
}

export interface TextPart {
  type: "text";
  text: string;
}
export type ContentPart<Image = ImageHash> =
  | TextPart
  | ({ type: "image" } & Image)
  /** Frames in the order of their times, in milliseconds from the start. */
  | { type: "video"; frames: ({ timeMs: number } & Image)[] };

export interface Turn<Image = ImageHash> {
  role: "system" | "user" | "assistant";
  content: ContentPart<Image>[];
}

/** What a failure and a low-reward pair have in common. */
interface Reported<Image> {
  /** Names the event for ever, together with the client. */
  eventId: string;
  /** Milliseconds since the Unix epoch. */
  occurredAt: number;
  model: string;
  /** SHA-256 of the adapter that answered; null is the base model. */
  adapter?: string | null | undefined;
  /** Ends with the user's turn. */
  conversation: Turn<Image>[];
  /** Why a person or a program thinks so. */
  reason?: string | undefined;
  task?: Task | undefined;
  errorType?: ErrorType | undefined;
  /** BCP 47, for example `en` or `pt-br`. */
  language?: string | undefined;
  /** How the response was made: temperature, top_p, max_tokens, seed, ... */
  decoding?: Record<string, number | boolean | string | null> | undefined;
  /** Your own labels, for people to find the event by. */
  tags?: Record<string, string> | undefined;
}

/** One answer of a deployed model. With `correction` or `reference` it can become training data. */
export interface FailureEvent<Image = ImageHash> extends Reported<Image> {
  response: string;
  /** What a person wrote instead of the response. */
  correction?: string | undefined;
  /** The right answer, known from elsewhere. */
  reference?: string | undefined;
  reward?: number | undefined;
  /** `up` says that the response was right. */
  rating?: "up" | "down" | undefined;
}

interface RewardedText {
  text: string;
  reward: number;
}
/** Two responses of a deployed model to one prompt, with their rewards. */
export interface PairEvent<Image = ImageHash> extends Reported<Image> {
  responses: [RewardedText, RewardedText];
}

/** Images may be named by hash or by index; what is left out of the event, the reporter fills in. */
type Draft<Event extends Reported<ImageHash | ImageIndex>> = Omit<Event, "eventId" | "occurredAt"> &
  Partial<Pick<Event, "eventId" | "occurredAt">>;
export type FailureReport = Draft<FailureEvent<ImageHash | ImageIndex>>;
export type PairReport = Draft<PairEvent<ImageHash | ImageIndex>>;

/** The limits of the API that the reporter keeps to. */
export const API_LIMITS = {
  eventsPerRequest: 500,
  intakeBytes: 1_000_000,
  imageBytes: 8_000_000,
  imagesPerEvent: 8,
  framesPerEvent: 64,
  eventIdChars: 128,
  missingHashesPerRequest: 1_000,
} as const;
