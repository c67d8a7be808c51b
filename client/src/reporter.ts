import { Connection } from "./connection.ts";
import { Credentials } from "./credentials.ts";
import { newEventId } from "./event-id.ts";
import { API_LIMITS, type FailureReport, type PairReport } from "./events.ts";
import { type Images, isRecord } from "./images.ts";
import { Lane, type Timing } from "./lane.ts";
import { Ledger, type Problem, type Stats } from "./ledger.ts";
import { onLeave } from "./page.ts";
import { isSampled } from "./sampling.ts";
import { Sender } from "./sender.ts";
import { BadEvent, type Json, snapshot } from "./snapshot.ts";
import { waitingEvent } from "./waiting.ts";

const DEFAULTS = {
  queueEvents: 10_000,
  queueBytes: 32_000_000,
  lingerMs: 200,
  retryFirstMs: 500,
  retryMaxMs: 60_000,
  timeoutMs: 30_000,
  flushMs: 5_000,
} as const;

export interface ReporterOptions extends Partial<Timing> {
  /** Where the API is: `https://nearmiss.example`. */
  baseUrl: string;
  /** A key with the scope `ingest`. For servers; a browser gets a `token`. */
  key?: string;
  /** Gets a browser token from your own server. Called when there is none, and when the API refuses the last one. */
  token?: () => Promise<string> | string;
  /** Events that may wait in memory; what comes on top is dropped, and counted. 10,000 unless told. */
  queueEvents?: number;
  /** Bytes that waiting events with their images may take. 32 MB unless told. */
  queueBytes?: number;
  /** The share of events that is sent, 0 to 1. */
  sampleRate?: number;
  /** Events with a correction are sent whatever `sampleRate` says, unless this is true. */
  sampleCorrections?: boolean;
  /**
   * Sees a copy of each event before it is kept, and returns what may be sent; null drops it. An image that the event
   * does not name any more is not sent. When it throws, or returns no event, the event is dropped.
   */
  redact?: (event: FailureReport | PairReport) => FailureReport | PairReport | null;
  /** Told of what goes wrong: each event that is lost, and the first failure of a row. */
  onError?: (problem: Problem) => void;
  /** How long a request may take. 30 s unless told. */
  timeoutMs?: number;
  fetch?: typeof fetch;
}

export interface ReportOptions {
  /** Decides about sampling instead of the event's id: a user's or a session's events are then kept or left out together. */
  sampleKey?: string;
}

type Event = { [key: string]: Json } & { eventId: string; occurredAt: Json };

/** Reports from a deployed app. It never holds up the app, and never throws into it. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #ledger: Ledger;
  readonly #failures: Lane;
  readonly #pairs: Lane;
  readonly #ending = new AbortController();
  readonly #stayed: () => void;
  /** Those who wait for a flush: told whether everything is sent. */
  readonly #flushing = new Set<(isDone: boolean) => void>();
  #isClosed = false;

  /** @throws {TypeError} when `baseUrl` is no URL, or there is neither a key nor a token */
  constructor(options: ReporterOptions) {
    const { queueEvents, queueBytes, lingerMs, retryFirstMs, retryMaxMs, timeoutMs } = { ...DEFAULTS, ...options };
    const keyOrToken = options.token ?? options.key;
    if (!keyOrToken) throw new TypeError("nearmiss: a key or a token is needed");
    new URL(options.baseUrl);
    this.#options = { ...options };
    this.#ledger = new Ledger({ events: queueEvents, bytes: queueBytes }, options.onError ?? (() => {}));
    const connection = new Connection({
      baseUrl: options.baseUrl,
      credentials: new Credentials(keyOrToken),
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      timeoutMs,
      signal: this.#ending.signal,
    });
    const shared = {
      sender: new Sender(connection, this.#ledger),
      ledger: this.#ledger,
      timing: { lingerMs, retryFirstMs, retryMaxMs },
      onIdle: () => this.#onIdle(),
    };
    this.#failures = new Lane({ ...shared, path: "/v1/failures" });
    this.#pairs = new Lane({ ...shared, path: "/v1/pairs" });
    this.#stayed = onLeave(() => {
      this.#failures.leave();
      this.#pairs.leave();
    });
  }

  /**
   * Takes one event as it is now: later changes of it are not seen. Image bytes are not copied, so leave those as they are.
   * Returns the event's id, or null when it was not taken; `stats()` counts why. Never waits, never throws.
   */
  report(event: FailureReport, images: Images = {}, options: ReportOptions = {}): string | null {
    return this.#take(this.#failures, event, images, options);
  }

  /** As `report`, for two responses to one prompt with their rewards. */
  reportPair(event: PairReport, images: Images = {}, options: ReportOptions = {}): string | null {
    return this.#take(this.#pairs, event, images, options);
  }

  /** Counts an event that could not even be made as invalid. For adapters such as `nearmiss/openai`. */
  refuse(why: string): null {
    this.#ledger.count("invalid");
    this.#ledger.tell({ what: "invalid", message: `an event was not taken: ${why}` });
    return null;
  }

  /** Waits until nothing waits any more. False if something still does after `timeoutMs`. */
  flush(timeoutMs: number = DEFAULTS.flushMs): Promise<boolean> {
    this.#failures.hurry();
    this.#pairs.hurry();
    if (this.#isIdle) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (isDone: boolean) => {
        clearTimeout(timer);
        this.#flushing.delete(end);
        resolve(isDone);
      };
      // This one does keep a process alive: somebody waits.
      const timer = setTimeout(() => end(false), timeoutMs);
      this.#flushing.add(end);
    });
  }

  stats(): Stats {
    return this.#ledger.stats();
  }

  /** Sends what it can within `timeoutMs`, drops the rest, and ends. A second time does nothing. */
  async close(timeoutMs: number = DEFAULTS.flushMs): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.flush(timeoutMs);
    this.#stayed();
    const { waiting } = this.stats();
    if (waiting > 0) this.#ledger.tell({ what: "dropped", message: `${waiting} events were still unsent at the end` });
    for (const end of this.#flushing) end(false);
    this.#failures.close();
    this.#pairs.close();
    this.#ending.abort();
  }

  get #isIdle(): boolean {
    return this.#failures.isIdle && this.#pairs.isIdle;
  }

  #onIdle(): void {
    if (this.#isIdle) for (const end of this.#flushing) end(true);
  }

  #take(lane: Lane, given: unknown, images: Images, options: ReportOptions): string | null {
    try {
      if (this.#isClosed) return this.#drop("the reporter is closed");
      if (this.#ledger.isFull) return this.#drop("too many events wait");
      const event = identified(snapshot(given));
      if (!this.#isWanted(event, options)) return this.#leaveOut("sampledOut");
      const redacted = this.#redacted(event);
      if (redacted === undefined) return this.#drop("the redaction hook failed");
      if (redacted === null) return this.#leaveOut("redacted");
      const waiting = waitingEvent(event.eventId, redacted, images ?? {});
      if (!this.#ledger.admit(waiting)) return this.#drop("the memory for waiting events is full");
      lane.add(waiting);
      return waiting.id;
    } catch (error) {
      // Whatever a host's object throws may quote its content, or be no Error at all.
      return this.refuse(error instanceof BadEvent ? error.message : "it can not be read");
    }
  }

  #isWanted(event: Event, options: ReportOptions | null): boolean {
    const { sampleRate = 1, sampleCorrections = false } = this.#options;
    if (sampleRate >= 1 || (event.correction !== undefined && !sampleCorrections)) return true;
    return isSampled(options?.sampleKey ?? event.eventId, sampleRate);
  }

  /** What may be sent, null to send nothing, or undefined when the hook failed. */
  #redacted(event: Event): Event | null | undefined {
    const { redact } = this.#options;
    if (!redact) return event;
    try {
      const { eventId, occurredAt } = event;
      const result: unknown = redact(event as unknown as FailureReport);
      if (result === null) return null;
      if (result instanceof Promise) result.catch(() => {});
      const copy = result instanceof Promise ? undefined : snapshot(result);
      return isRecord(copy) ? { occurredAt, ...copy, eventId } : undefined;
    } catch {
      return undefined;
    }
  }

  #drop(why: string): null {
    this.#ledger.count("dropped");
    this.#ledger.tell({ what: "dropped", message: `an event was dropped: ${why}` });
    return null;
  }

  #leaveOut(what: "sampledOut" | "redacted"): null {
    this.#ledger.count(what);
    return null;
  }
}

/** @throws {BadEvent} */
function identified(event: Json | undefined): Event {
  if (!isRecord(event)) throw new BadEvent("it is no object");
  const { eventId = newEventId(), occurredAt = Date.now() } = event;
  const isName = typeof eventId === "string" && eventId.length > 0 && eventId.length <= API_LIMITS.eventIdChars;
  if (!isName) throw new BadEvent(`eventId is not 1 to ${API_LIMITS.eventIdChars} characters`);
  return { ...event, eventId, occurredAt };
}
