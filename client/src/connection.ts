import type { Credentials } from "./credentials.ts";
import { isRecord } from "./images.ts";
import { later } from "./timers.ts";

/** Above the longest answer that the API gives. */
const RESPONSE_BYTES_MAX = 4_000_000;
/** Whatever the answer asks for. */
const RETRY_AFTER_MAX_MS = 600_000;
/** Shorter bodies do not gain by it. */
const GZIP_BYTES_MIN = 1_000;
/** A page may have 64 KiB of requests under way that outlive it; some of it is left to the page itself. */
const KEEPALIVE_BYTES_MAX = 60_000;
/** Statuses that blame the request itself: to send it again would be in vain. */
const REFUSED = new Set([400, 413, 415, 422]);
const UNSUPPORTED_TYPE = 415;

/** The API is away, overloaded, closed to this key, or talks nonsense: to be tried again. Fit for a log. */
export class Unsent extends Error {
  readonly retryAfterMs: number;
  /** The key will not do, and there is no other. */
  readonly isDenied: boolean;

  constructor(message: string, { retryAfterMs = 0, isDenied = false } = {}) {
    super(message);
    this.retryAfterMs = retryAfterMs;
    this.isDenied = isDenied;
  }
}

/** The API does not want this very request. */
export class Refused extends Error {}

export interface Call {
  method: "POST" | "PUT";
  path: string;
  body: Uint8Array<ArrayBuffer> | Blob;
  mediaType: string;
  /** Never waits before the request is on its way; it then goes out even if the page is being left. */
  atOnce?: boolean;
}

export interface ConnectionOptions {
  baseUrl: string;
  credentials: Credentials;
  fetch: typeof fetch;
  timeoutMs: number;
  /** Ends everything under way. */
  signal: AbortSignal;
}

/** HTTP to one API. Every call may be repeated blindly: images are named by content, events by their id. */
export class Connection {
  readonly #options: ConnectionOptions;
  #gzip = typeof CompressionStream === "function";
  #keepaliveBytes = 0;

  constructor(options: ConnectionOptions) {
    this.#options = { ...options, baseUrl: options.baseUrl.replace(/\/+$/, "") };
  }

  /** Bytes that can go out while the page is being left; none without a key at hand. */
  get bytesAtOnce(): number {
    return this.#options.credentials.ready === undefined ? 0 : KEEPALIVE_BYTES_MAX - this.#keepaliveBytes;
  }

  /**
   * The JSON object that the API answers.
   * @throws {Unsent} @throws {Refused}
   */
  async request(call: Call): Promise<Record<string, unknown>> {
    try {
      return await this.#inTime((signal) => this.#exchange(call, signal));
    } catch (error) {
      if (error instanceof Unsent || error instanceof Refused) throw error;
      throw new Unsent(`${call.method}: ${error instanceof Error ? error.name : "no answer"}`);
    }
  }

  async #inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal: closing, timeoutMs } = this.#options;
    if (closing.aborted) throw new Unsent("closed");
    const controller = new AbortController();
    let close = () => {};
    let cancelTimer = () => {};
    const ended = new Promise<never>((_, reject) => {
      const end = (why: string) => {
        reject(new Unsent(why));
        controller.abort();
      };
      close = () => end("closed");
      cancelTimer = later(timeoutMs, () => end(`no answer within ${timeoutMs} ms`));
    });
    closing.addEventListener("abort", close);
    try {
      return await Promise.race([work(controller.signal), ended]);
    } finally {
      cancelTimer();
      closing.removeEventListener("abort", close);
    }
  }

  async #exchange(call: Call, signal: AbortSignal): Promise<Record<string, unknown>> {
    const { baseUrl, credentials, fetch } = this.#options;
    const bearer = credentials.ready ?? (await credentials.get());
    const zipped = this.#gzip && !call.atOnce && call.method === "POST" ? await gzip(call.body) : undefined;
    const body = zipped ?? call.body;
    const headers = {
      authorization: `Bearer ${bearer}`,
      "content-type": call.mediaType,
      ...(zipped && { "content-encoding": "gzip" }),
    };
    const free = this.#keepalive(call.method, body);
    try {
      const response = await fetch(`${baseUrl}${call.path}`, {
        method: call.method,
        headers,
        body,
        signal,
        // A redirect would carry the events elsewhere, or turn them into a GET.
        redirect: "manual",
        ...(free && { keepalive: true }),
      });
      if (response.ok) return parse(await readText(response, signal));
      response.body?.cancel().catch(() => {});
      if (response.status === UNSUPPORTED_TYPE && zipped) {
        this.#gzip = false;
        throw new Unsent("the API does not take gzip");
      }
      throw this.#failure(response, bearer);
    } finally {
      free?.();
    }
  }

  /** Small requests of a page outlive it. Returns what gives their share of the budget back. */
  #keepalive(method: string, body: Uint8Array | Blob): (() => void) | undefined {
    const bytes = body instanceof Blob ? body.size : body.length;
    if (!("document" in globalThis) || method !== "POST") return undefined;
    if (bytes > KEEPALIVE_BYTES_MAX - this.#keepaliveBytes) return undefined;
    this.#keepaliveBytes += bytes;
    return () => {
      this.#keepaliveBytes -= bytes;
    };
  }

  #failure(response: Response, bearer: string): Unsent | Refused {
    const { status, headers } = response;
    if (REFUSED.has(status)) return new Refused(`status ${status}`);
    const retryAfterMs = readRetryAfter(headers.get("retry-after"));
    const isDenied = status === 403 || (status === 401 && !this.#options.credentials.renew(bearer));
    return new Unsent(`status ${status}`, { retryAfterMs, isDenied });
  }
}

async function gzip(body: Uint8Array<ArrayBuffer> | Blob): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const blob = body instanceof Blob ? body : new Blob([body]);
  if (blob.size < GZIP_BYTES_MIN) return undefined;
  const stream = blob.stream().pipeThrough(new CompressionStream("gzip"));
  const zipped = new Uint8Array(await new Response(stream).arrayBuffer());
  return zipped.length < blob.size ? zipped : undefined;
}

async function readText(response: Response, signal: AbortSignal): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return "";
  const stop = () => {
    reader.cancel().catch(() => {});
  };
  signal.addEventListener("abort", stop);
  try {
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      bytes += read.value.length;
      if (bytes > RESPONSE_BYTES_MAX) {
        stop();
        throw new Unsent("the answer is too long");
      }
      text += decoder.decode(read.value, { stream: true });
    }
    return text + decoder.decode();
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function parse(text: string): Record<string, unknown> {
  const answer: unknown = JSON.parse(text);
  if (!isRecord(answer)) throw new Unsent("the answer is no JSON object");
  return answer;
}

/** Seconds, or a date; in milliseconds from now. */
function readRetryAfter(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS) : 0;
}
