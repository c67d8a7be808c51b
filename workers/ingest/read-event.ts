import type { Conversation, FieldProblem } from "../../shared/contracts/common.ts";
import { imagesOf } from "../../shared/contracts/common.ts";
import { type FailureEvent, failureEvent } from "../../shared/contracts/ingest.ts";
import { classify } from "../../shared/taxonomy/classify.ts";
import { splitOfImages } from "../../shared/taxonomy/split.ts";
import { type Modality, type Region, TASK_ERROR_TYPES } from "../../shared/taxonomy/taxonomy.ts";
import { sha256Hex } from "../http/hash.ts";
import { problemsOf } from "../http/problems.ts";
import type { NewFailure } from "../store/failures.ts";
import { type Judgement, judge, polarityOf } from "./judge.ts";

const ID_HEX_DIGITS = 32;
const UNKNOWN_LANGUAGE = "und";
const QUESTION_END_CHARS = 600;

export type ReadEvent =
  | { readonly eventId: string; readonly failure: NewFailure }
  | { readonly eventId: string | null; readonly problems: readonly FieldProblem[] };

/** Turns one event, as it was sent, into the row to store; or into its problems, with paths below `events.{index}`. */
export async function readEvent(sent: unknown, index: number, clientId: string): Promise<ReadEvent> {
  const prefix = ["events", index];
  const parsed = failureEvent.safeParse(sent);
  if (!parsed.success) return { eventId: readableId(sent), problems: problemsOf(parsed.error, prefix) };
  const event = parsed.data;
  const judgement = judge(event);
  if ("problem" in judgement) {
    const { path, message } = judgement.problem;
    return { eventId: event.eventId, problems: [{ path: [...prefix, path].join("."), message }] };
  }
  return { eventId: event.eventId, failure: await toFailure(event, judgement, clientId) };
}

type Judged = Exclude<Judgement, { problem: FieldProblem }>;

async function toFailure(event: FailureEvent, judged: Judged, clientId: string): Promise<NewFailure> {
  const images = imagesOf(event.conversation);
  const region = regionOf(event, judged, images);
  const told = event.correction ?? event.reference ?? null;
  const hasSource = judged.verdict !== "unjudged" && judged.answer !== null;
  const [id, contentSha256] = await Promise.all([
    sha256Hex(`${clientId}\n${event.eventId}`),
    sha256Hex(contentOf(event)),
  ]);
  return {
    id: id.slice(0, ID_HEX_DIGITS),
    eventId: event.eventId,
    contentSha256,
    occurredAt: event.occurredAt,
    model: event.model,
    adapter: event.adapter ?? null,
    conversation: event.conversation,
    response: event.response,
    reference: told,
    verdict: judged.verdict,
    region,
    source: hasSource
      ? { images, split: splitOfImages(images), polarity: polarityOf(judged.answer ?? "", region.language) }
      : null,
  };
}

/** A right answer made no error: it stands in the likeliest region of its task. */
function regionOf(event: FailureEvent, judged: Judged, images: readonly string[]): Region {
  const found = classify({
    question: lastQuestion(event.conversation),
    response: event.response,
    answer: judged.answer,
    ...(event.task && { task: event.task }),
    ...(event.errorType && { errorType: event.errorType }),
  });
  return {
    task: found.task,
    errorType: judged.verdict === "right" ? TASK_ERROR_TYPES[found.task][0] : found.errorType,
    language: event.language ?? UNKNOWN_LANGUAGE,
    modality: modalityOf(images),
  };
}

/** Of a long turn its two ends: the question stands there, and what looks for it takes more than linear time. */
function lastQuestion(turns: Conversation): string {
  const parts = turns.at(-1)?.content ?? [];
  const text = parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
  if (text.length <= 2 * QUESTION_END_CHARS) return text;
  return `${text.slice(0, QUESTION_END_CHARS)}\n${text.slice(-QUESTION_END_CHARS)}`;
}

function modalityOf(images: readonly string[]): Modality {
  const distinct = new Set(images).size;
  if (distinct === 0) return "text";
  return distinct === 1 ? "image" : "multi-image";
}

/** What makes two events with one id the same event: every field, in a fixed order, absent ones as null. */
function contentOf(event: FailureEvent): string {
  return JSON.stringify([
    event.occurredAt,
    event.model,
    event.adapter ?? null,
    event.conversation.map(({ role, content }) => [
      role,
      content.map((part) => [part.type, part.type === "text" ? part.text : part.sha256]),
    ]),
    event.response,
    event.correction ?? null,
    event.reference ?? null,
    event.rating ?? null,
    event.task ?? null,
    event.errorType ?? null,
    event.language ?? null,
  ]);
}

/** The id of an event that is otherwise unreadable, so that the sender can find it. */
function readableId(sent: unknown): string | null {
  if (typeof sent !== "object" || sent === null || !("eventId" in sent)) return null;
  const id = failureEvent.shape.eventId.safeParse(sent.eventId);
  return id.success ? id.data : null;
}
