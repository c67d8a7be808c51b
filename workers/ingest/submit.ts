import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { EventsText } from "../http/body.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { Carpool, Stranded } from "./carpool.ts";
import { intakeObject, isAway } from "./intake-object.ts";
import { putAside } from "./overflow.ts";
import { answered, type Outcome, prepare, type SentEvents } from "./prepare.ts";
import type { EventKind } from "./read-event.ts";

/** Keeps work going though its request is cancelled. */
export type KeepAlive = (work: Promise<unknown>) => void;

export type SubmitEnv = Pick<Env, "DB" | "BLOBS" | "INTAKE" | "INTAKE_QUEUE">;

/**
 * Stores a request's valid events, all or none, and answers each event in the order it was sent. What is answered `stored` is
 * committed, what is answered `queued` is written down in the blob store; the same request may be sent again at any time.
 * @returns the results, as a JSON array, and how many events have which status
 * @throws {ApiError} `forbidden` without the scope, or for a key that belongs to no client; `bad_request`; `rate_limited`, or
 *   `too_large` when a request passes the minute's limit alone; `overloaded` when neither database nor blob store takes them
 */
export async function submitEvents(
  env: SubmitEnv,
  actor: Actor,
  kind: EventKind,
  { text, isLines }: EventsText,
  nowMs: number,
  keepAlive: KeepAlive,
): Promise<Extract<Outcome, { kind: "answered" }>> {
  demand(actor, "feedback", "ingest");
  if (actor.kind !== "key" && actor.kind !== "token") {
    throw new ApiError("forbidden", "This key reports for no client. Create one with POST /v1/keys.");
  }
  const sent: SentEvents = {
    kind,
    text,
    isLines,
    keyId: actor.keyId,
    clientId: actor.clientId,
    reportCap: actor.reportCap,
    eventsPerMinute: actor.eventsPerMinute,
    requestsPerMinute: actor.requestsPerMinute,
    onlyModel: actor.kind === "token" ? actor.model : null,
    receivedAt: nowMs,
  };
  const outcome = await submit(env, sent, keepAlive);
  if (outcome.kind === "answered") return outcome;
  throw new ApiError(outcome.code, outcome.message, outcome.details, outcome.retryAfterS);
}

/** Characters of events that travel at once; requests with many events gain nothing by company. */
const TOGETHER_CHARS = 300_000;
/** Time after which events that travel with another request are given up; ms. */
const LOST_MS = 10_000;

interface Trip {
  readonly env: SubmitEnv;
  readonly sent: SentEvents;
}

const carpool = new Carpool<Trip, Outcome>(
  async (trips) => {
    const [first] = trips;
    return first ? intakeObject(first.env).submitAll(trips.map(({ sent }) => sent)) : [];
  },
  { group: TOGETHER_CHARS, lostMs: LOST_MS },
);

/** When the object cannot be reached, its events are written down here: sending them twice is harmless. */
async function submit(env: SubmitEnv, sent: SentEvents, keepAlive: KeepAlive): Promise<Outcome> {
  try {
    return await carpool.ride({ env, sent }, sent.text.length, keepAlive);
  } catch (error) {
    if (!(error instanceof Stranded) && !isAway(error)) throw error;
    const prepared = await prepare(env.DB, sent);
    await putAside(env, prepared.submission);
    return answered(prepared, "queued");
  }
}
