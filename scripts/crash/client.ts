import { setTimeout as sleep } from "node:timers/promises";
import { type EventResult, eventsResponse } from "../../shared/contracts/ingest.ts";
import { shuffled } from "../../shared/edits/random.ts";
import type { Entry, Ledger } from "./ledger.ts";

/** What the clients are told of the edge, and what they tell of it. */
export interface Target {
  /** Where it is, from the moment it is there; it has another address after each start. */
  url: Promise<string>;
  /** Whether clients still make new events. */
  fresh: boolean;
  /** Requests that wait for their answer. */
  inFlight: number;
  /** Answers that asked to come again. */
  busy: number;
  /** Answers that were errors of the edge. */
  failed: number;
  /** The last answer of either kind. */
  lastRefusal: string;
}

/** Events per request, in the frequency of their mention. */
const SIZES = [1, 1, 1, 1, 4, 20, 20, 100, 400] as const;
/** Share of requests that are sent twice at once, on purpose. */
const TWINS = 0.2;
/** Share of requests to which acknowledged events are added, on purpose. */
const REPEATS = 0.2;
const REPEATED_EVENTS = 5;
const PAUSE_MS = 20;
/** An answer that takes longer is given up and asked for again. */
const PATIENCE_MS = 10_000;

/** Sends a client's events, whatever happens, until there are to be no new ones and each one is acknowledged. */
export async function report(target: Target, ledger: Ledger, random: () => number): Promise<void> {
  while (target.fresh || ledger.open > 0) {
    const size = SIZES[Math.floor(random() * SIZES.length)] ?? 1;
    const own = ledger.draw(size, target.fresh);
    const repeated = random() < REPEATS ? ledger.drawAcknowledged(REPEATED_EVENTS) : [];
    const entries = shuffled([...own, ...repeated], random);
    const copies = random() < TWINS ? 2 : 1;
    const sent = Array.from({ length: copies }, () => send(target, ledger.key, entries));
    const answered = (await Promise.all(sent)).some((one) => one);
    ledger.reopen(own);
    if (!answered) await sleep(PAUSE_MS);
  }
}

/**
 * Sends one request and notes the answers.
 * @returns false when no answer came, or one that stored nothing for now
 * @throws {Error} when the edge refuses what it has to take
 */
async function send(target: Target, key: string, entries: readonly Entry[]): Promise<boolean> {
  const body = JSON.stringify({ events: entries.map((entry) => entry.event) });
  const url = await target.url;
  for (const entry of entries) entry.sent += 1;
  const answer = await exchange(target, url, key, body);
  if (answer === null) return false;
  if (answer.status === 429 || answer.status >= 500) {
    target[answer.status === 429 || answer.status === 503 ? "busy" : "failed"] += 1;
    target.lastRefusal = `${answer.status} ${answer.text}`;
    return false;
  }
  if (answer.status !== 200) throw new Error(`POST /v1/failures: ${answer.status} ${answer.text.slice(0, 500)}`);
  const { results } = eventsResponse.parse(JSON.parse(answer.text));
  if (results.length !== entries.length) throw new Error(`${entries.length} events got ${results.length} results`);
  entries.forEach((entry, index) => {
    note(entry, results[index] as EventResult);
  });
  return true;
}

async function exchange(target: Target, url: string, key: string, body: string) {
  target.inFlight += 1;
  try {
    const response = await fetch(`${url}/v1/failures`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { status: response.status, text: await response.text() };
  } catch {
    return null; // no connection, or it broke before the whole answer was here
  } finally {
    target.inFlight -= 1;
  }
}

function note({ event, answers }: Entry, { eventId, status }: EventResult): void {
  if (eventId !== event.eventId) throw new Error(`the result of ${event.eventId} speaks of ${eventId}`);
  if (status === "conflict" || status === "invalid") throw new Error(`${eventId} is ${status}`);
  answers[status] = (answers[status] ?? 0) + 1;
}
