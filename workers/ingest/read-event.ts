import type { Conversation, FieldProblem } from "../../shared/contracts/common.ts";
import { imagesOf } from "../../shared/contracts/common.ts";
import {
  type FailureEvent,
  failureEvent,
  type HoldReason,
  type PairEvent,
  pairEvent,
} from "../../shared/contracts/ingest.ts";
import type { IntakePolicy } from "../../shared/contracts/policy.ts";
import { redact } from "../../shared/redaction/redact.ts";
import { classify, errorTypeTold } from "../../shared/taxonomy/classify.ts";
import { splitOfImages } from "../../shared/taxonomy/split.ts";
import {
  type ErrorType,
  type Modality,
  regionKey,
  TASK_ERROR_TYPES,
  type Task,
} from "../../shared/taxonomy/taxonomy.ts";
import { sha256Hex } from "../http/hash.ts";
import { problemsOf } from "../http/problems.ts";
import { columnsOf, type NewFailure, type Verdict } from "../store/failures.ts";
import { type Judged, type Judgement, judge, judgePair, polarityOf, ranked } from "./judge.ts";

const QUESTION_END_CHARS = 600;

export type EventKind = "failure" | "pair";
type Reported = FailureEvent | PairEvent;

/** What reading an event depends on besides the event. */
export interface Reading {
  readonly kind: EventKind;
  readonly policy: IntakePolicy;
  /** The only model that the sender may speak of; null: any. */
  readonly onlyModel: string | null;
  isKnownAdapter(sha256: string): Promise<boolean>;
}

export type ReadEvent =
  | { readonly failure: NewFailure; readonly hold: HoldReason | null }
  | { readonly eventId: string | null; readonly problems: readonly FieldProblem[] };

/**
 * Turns one event, as it was sent, into the row to store; or into its problems, with paths below `events.{index}`.
 * @param sent `undefined` for a line that was no JSON
 */
export async function readEvent(sent: unknown, index: number, reading: Reading): Promise<ReadEvent> {
  const prefix = ["events", index] as const;
  if (sent === undefined) {
    return { eventId: null, problems: [{ path: prefix.join("."), message: "is not valid JSON" }] };
  }
  const parsed = (reading.kind === "failure" ? failureEvent : pairEvent).safeParse(sent);
  if (!parsed.success) return { eventId: readableId(sent), problems: problemsOf(parsed.error, prefix) };
  const original: Reported = parsed.data;
  // Before redaction, which may make two answers alike.
  const judgement = judgementOf(original, reading);
  if ("problem" in judgement) {
    const { path, message } = judgement.problem;
    return { eventId: original.eventId, problems: [{ path: [...prefix, path].join("."), message }] };
  }
  const { event } = redact(original, reading.policy.redactions);
  const contentSha256 = sha256Hex(contentOf(original, reading));
  const hold = await holdOf(event, reading);
  return { failure: toFailure(event, judgement, { kind: reading.kind, contentSha256, hold }), hold };
}

function judgementOf(event: Reported, { policy, onlyModel }: Reading): Judgement {
  if (onlyModel !== null && event.model !== onlyModel) {
    return { problem: { path: "model", message: "is not the model that this token reports for" } };
  }
  return "responses" in event ? judgePair(event.responses, policy) : judge(event, policy);
}

/** What the model said, and what is right, as far as it is known. */
function textsOf(event: Reported, { answerAt }: Judged): { response: string; answer: string | null } {
  if ("responses" in event) {
    const { better, worse } = ranked(event.responses);
    return { response: worse.text, answer: answerAt === null ? null : better.text };
  }
  const { response, correction, reference } = event;
  const texts = { response, correction, reference, better: undefined };
  return { response, answer: answerAt === null ? null : (texts[answerAt] ?? null) };
}

/** Events that speak of something unknown are kept aside. */
async function holdOf(event: Reported, reading: Reading): Promise<HoldReason | null> {
  const { models } = reading.policy;
  if (models.length > 0 && !models.includes(event.model)) return "unknown-model";
  if (event.adapter && !(await reading.isKnownAdapter(event.adapter))) return "unknown-adapter";
  return null;
}

interface Stamp {
  readonly kind: EventKind;
  readonly contentSha256: string;
  readonly hold: HoldReason | null;
}

function toFailure(event: Reported, judged: Judged, { kind, contentSha256, hold }: Stamp): NewFailure {
  const images = imagesOf(event.conversation);
  const { verdict } = judged;
  const { response, answer } = textsOf(event, judged);
  const placed = placeOf({
    conversation: event.conversation,
    response,
    answer,
    verdict,
    ...(event.task && { task: event.task }),
    ...(event.errorType && { errorType: event.errorType }),
    ...(event.language && { language: event.language }),
    ...(event.tags && { tags: event.tags }),
  });
  const columns = columnsOf({
    kind,
    occurredAt: event.occurredAt,
    model: event.model,
    adapter: event.adapter ?? null,
    conversation: event.conversation,
    response,
    reference: judged.answerAt === "response" ? null : answer,
    verdict,
    region: placed.region,
    details: detailsOf(event, hold !== null && !placed.tagged),
    held: hold,
    images,
    split: placed.split,
    polarity: placed.polarity,
  });
  const { region, tagged } = placed;
  return { eventId: event.eventId, contentSha256, verdict, region, tagged, held: hold !== null, columns };
}

/** Where an event stands, and on which side, as far as it has a right answer. */
export function placeOf(event: {
  readonly conversation: Conversation;
  readonly response: string;
  readonly answer: string | null;
  readonly verdict: Verdict;
  readonly task?: Task;
  readonly errorType?: ErrorType;
  readonly language?: string;
  readonly tags?: Readonly<Record<string, string>>;
}) {
  const { conversation, answer, verdict, ...rest } = event;
  const found = classify({ ...rest, answer, question: lastQuestion(conversation) });
  // A right answer made no error: it stands in the likeliest region of its task.
  const errorType = verdict === "right" ? TASK_ERROR_TYPES[found.task][0] : found.errorType;
  const hasSource = verdict !== "unjudged" && answer !== null;
  const images = imagesOf(conversation);
  return {
    region: regionKey({ task: found.task, errorType, language: found.language, modality: modalityOf(conversation) }),
    tagged: errorTypeTold(rest, found.task) !== null,
    split: hasSource ? splitOfImages(images) : null,
    polarity: hasSource ? polarityOf(answer, found.language) : null,
  };
}

/** Of a long turn its two ends: the question stands there, and what looks for it takes more than linear time. */
function lastQuestion(turns: Conversation): string {
  const parts = turns.at(-1)?.content ?? [];
  const text = parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
  if (text.length <= 2 * QUESTION_END_CHARS) return text;
  return `${text.slice(0, QUESTION_END_CHARS)}\n${text.slice(-QUESTION_END_CHARS)}`;
}

function modalityOf(turns: Conversation): Modality {
  if (turns.some((turn) => turn.content.some((part) => part.type === "video"))) return "video";
  const distinct = new Set(imagesOf(turns)).size;
  if (distinct === 0) return "text";
  return distinct === 1 ? "image" : "multi-image";
}

/**
 * What the columns do not hold; null when that is nothing.
 * @param inferred it is held, and what it will weigh when it is released is less, since nobody told its error type
 */
function detailsOf(event: Reported, inferred: boolean): Record<string, unknown> | null {
  const details: Record<string, unknown> = inferred ? { errorTypeInferred: true } : {};
  for (const field of ["reason", "decoding", "tags", "language"] as const) {
    if (event[field] !== undefined) details[field] = event[field];
  }
  if ("responses" in event) details.responses = event.responses;
  else {
    if (event.reward !== undefined) details.reward = event.reward;
    if (event.rating !== undefined) details.rating = event.rating;
    if (event.correction !== undefined) {
      details.corrected = true; // the column holds the correction then
      if (event.reference !== undefined) details.reference = event.reference;
    }
  }
  for (const _ in details) return details;
  return null;
}

/** What makes two events with one id the same event: everything that was sent, as the contract reads it. */
function contentOf(event: Reported, { kind }: Reading): string {
  const { decoding, tags, ...rest } = event;
  return JSON.stringify([kind, { ...rest, adapter: event.adapter ?? null }, sorted(decoding), sorted(tags)]);
}

function sorted(entries: Readonly<Record<string, unknown>> | undefined): unknown {
  return entries && Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The id of an event that is otherwise unreadable, so that the sender can find it. */
function readableId(sent: unknown): string | null {
  if (typeof sent !== "object" || sent === null || !("eventId" in sent)) return null;
  const id = failureEvent.shape.eventId.safeParse(sent.eventId);
  return id.success ? id.data : null;
}
