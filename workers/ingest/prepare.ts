import type { ErrorCode, FieldProblem } from "../../shared/contracts/common.ts";
import type { EventResult } from "../../shared/contracts/ingest.ts";
import { type EventsText, parseEvents } from "../http/body.ts";
import { ApiError } from "../http/errors.ts";
import { isKnownAdapter } from "../store/adapters.ts";
import type { StoredState, Submission } from "../store/failures.ts";
import { recentPolicy } from "../store/policy.ts";
import { type EventKind, type ReadEvent, readEvent } from "./read-event.ts";

/** One request's events, as they were sent. */
export interface SentEvents extends EventsText {
  readonly kind: EventKind;
  readonly keyId: string;
  readonly clientId: string;
  readonly reportCap: number;
  readonly eventsPerMinute: number;
  readonly requestsPerMinute: number;
  /** The only model that the sender may speak of; null: any. */
  readonly onlyModel: string | null;
  /** ms */
  readonly receivedAt: number;
}

/** The same, ready to be stored. */
export interface Prepared {
  readonly sent: SentEvents;
  /** What came of each event, in the order it was sent. */
  readonly read: readonly ReadEvent[];
  readonly submission: Submission;
}

/** What the sender is told. */
export type Outcome =
  | {
      readonly kind: "answered";
      /** JSON array of `EventResult`. */
      readonly results: string;
      /** Events by status. */
      readonly counts: Readonly<Record<string, number>>;
    }
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: readonly FieldProblem[] | undefined;
      readonly retryAfterS: number | undefined;
    };

/**
 * Reads, checks, judges and classifies a request's events.
 * @throws {ApiError} `bad_request` for a body that is none; `too_large` for more events than the sender may send in a minute
 */
export async function prepare(db: D1Database, sent: SentEvents): Promise<Prepared> {
  const events = parseEvents(sent);
  if (events.length > sent.eventsPerMinute) {
    const message = `This key may send ${sent.eventsPerMinute} events a minute, so no request may hold more.`;
    throw new ApiError("too_large", message);
  }
  const { document } = await recentPolicy(db, sent.receivedAt);
  const reading = {
    kind: sent.kind,
    policy: document.intake,
    onlyModel: sent.onlyModel,
    isKnownAdapter: (sha256: string) => isKnownAdapter(db, sha256),
  };
  const read = await Promise.all(events.map((event, index) => readEvent(event, index, reading)));
  const { clientId, reportCap, receivedAt } = sent;
  const valid = read.flatMap((event) => ("failure" in event ? [event.failure] : []));
  return { sent, read, submission: { clientId, reportCap, receivedAt, events: valid } };
}

/** @param states one per valid event, or what became of them all */
export function answered({ read }: Pick<Prepared, "read">, states: readonly StoredState[] | "queued"): Outcome {
  const counts: Record<string, number> = {};
  let at = 0;
  const results = read.map((event): EventResult => {
    const result = resultOf(event, () => (states === "queued" ? states : stateAt(states, at++)));
    counts[result.status] = (counts[result.status] ?? 0) + 1;
    return result;
  });
  return { kind: "answered", results: JSON.stringify(results), counts };
}

function stateAt(states: readonly StoredState[], index: number): StoredState {
  const state = states[index];
  if (!state) throw new Error("an event was neither stored nor known");
  return state;
}

function resultOf(event: ReadEvent, next: () => EventResult["status"]): EventResult {
  if ("problems" in event) return { eventId: event.eventId, status: "invalid", problems: [...event.problems] };
  return { eventId: event.failure.eventId, status: next(), ...(event.hold && { held: event.hold }) };
}

export function refused({ code, message, details, retryAfterS }: ApiError): Outcome {
  return { kind: "refused", code, message, details, retryAfterS };
}
