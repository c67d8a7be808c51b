import type { EventResult } from "../../shared/contracts/ingest.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { type NewFailure, type StoredState, storeFailures } from "../store/failures.ts";
import { type ReadEvent, readEvent } from "./read-event.ts";

/**
 * Stores a request's valid events, all or none, and answers each event in the order it was sent. What is answered `stored` is
 * committed; the same request may be sent again at any time.
 * @throws {ApiError} `forbidden` without the scope, or for a key that belongs to no client
 */
export async function submitFailures(
  env: Pick<Env, "DB">,
  actor: Actor,
  events: readonly unknown[],
  nowMs: number,
): Promise<EventResult[]> {
  demand(actor, "ingest");
  if (actor.kind !== "key") {
    throw new ApiError("forbidden", "This key reports for no client. Create one with POST /v1/keys.");
  }
  const read = await Promise.all(events.map((event, index) => readEvent(event, index, actor.clientId)));
  const first = firstOfEachId(read);
  const states =
    first.size === 0
      ? new Map<string, StoredState>()
      : await storeFailures(env.DB, {
          clientId: actor.clientId,
          reportCap: actor.reportCap,
          receivedAt: nowMs,
          failures: [...first.values()],
        });
  return read.map((event) => resultOf(event, first, states));
}

/** Of the events with one id the first is the one to store. */
function firstOfEachId(read: readonly ReadEvent[]): Map<string, NewFailure> {
  const first = new Map<string, NewFailure>();
  for (const event of read) {
    if ("failure" in event && !first.has(event.failure.id)) first.set(event.failure.id, event.failure);
  }
  return first;
}

function resultOf(
  event: ReadEvent,
  first: ReadonlyMap<string, NewFailure>,
  states: ReadonlyMap<string, StoredState>,
): EventResult {
  if ("problems" in event) return { eventId: event.eventId, status: "invalid", problems: [...event.problems] };
  const { id, contentSha256 } = event.failure;
  const state = states.get(id);
  if (!state) throw new Error("an event was neither stored nor known");
  if (state.contentSha256 !== contentSha256) return { eventId: event.eventId, status: "conflict" };
  const stored = state.fresh && first.get(id) === event.failure;
  return { eventId: event.eventId, status: stored ? "stored" : "duplicate" };
}
