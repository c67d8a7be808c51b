import type { Context } from "hono";
import type { z } from "zod";
import { LIMITS } from "../../shared/contracts/common.ts";
import { eventsRequest } from "../../shared/contracts/ingest.ts";
import type { AppEnv } from "./context.ts";
import { ApiError } from "./errors.ts";
import { gunzip } from "./gunzip.ts";
import { problemsOf } from "./problems.ts";
import { readAll } from "./stream.ts";

/** What a body may call itself. A string that `fetch` sends without a word about it is `text/plain`. */
const JSON_TYPES: readonly string[] = ["application/json", "text/plain", ""];
const NDJSON_TYPES: readonly string[] = ["application/x-ndjson", "application/jsonl"];
const EVENT_TYPES = [...JSON_TYPES, ...NDJSON_TYPES];

/**
 * The request's JSON body, parsed by `schema`; plain or gzipped.
 * @throws {ApiError} `too_large` above `maxBytes`; `unsupported_type`; `bad_request` when it is not JSON in UTF-8, or with one
 *   detail per wrong field
 */
export async function readJson<S extends z.ZodType>(
  c: Context<AppEnv>,
  schema: S,
  maxBytes: number,
): Promise<z.output<S>> {
  demandType(c, JSON_TYPES);
  return parseBody(await readText(c, maxBytes), schema);
}

/** A request's events, not parsed yet. */
export interface EventsText {
  readonly text: string;
  /** One event a line (NDJSON), or else `{"events": [...]}`. */
  readonly isLines: boolean;
}

/**
 * The text of a body of events, plain or gzipped.
 * @throws {ApiError} `too_large` above `maxBytes`; `unsupported_type`; `bad_request` when it is not UTF-8
 */
export async function readEventsText(c: Context<AppEnv>, maxBytes: number): Promise<EventsText> {
  const type = demandType(c, EVENT_TYPES);
  return { text: await readText(c, maxBytes), isLines: NDJSON_TYPES.includes(type) };
}

/**
 * The events of a text. A line that is no JSON is `undefined`, so that it costs no other; blank lines do not count.
 * @throws {ApiError} `bad_request`; `too_large` for too many lines
 */
export function parseEvents({ text, isLines }: EventsText): readonly unknown[] {
  if (!isLines) return parseBody(text, eventsRequest).events;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new ApiError("bad_request", "The request body has no events.");
  if (lines.length > LIMITS.eventsPerRequest) {
    throw new ApiError("too_large", `A request holds at most ${LIMITS.eventsPerRequest} events.`);
  }
  return lines.map(parseLine);
}

/**
 * The request's body as it was sent. It is counted while it streams in, whatever `content-length` claims.
 * @throws {ApiError} `too_large` above `maxBytes`
 */
export async function readBytes(c: Context<AppEnv>, maxBytes: number): Promise<Uint8Array> {
  const told = c.req.header("content-length");
  if (told !== undefined && Number(told) > maxBytes) throw tooLarge(maxBytes);
  const { raw } = c.req;
  if (!raw.body) return new Uint8Array();
  // What frames the body by a small length cannot be longer, and is read in one piece.
  if (told !== undefined && c.req.header("transfer-encoding") === undefined) {
    const bytes = new Uint8Array(await raw.arrayBuffer());
    if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes);
    return bytes;
  }
  return (await readAll(raw.body, maxBytes)) ?? refuse(tooLarge(maxBytes));
}

/** The limit holds for the bytes sent and for what they unpack to. */
async function readText(c: Context<AppEnv>, maxBytes: number): Promise<string> {
  const encoding = c.req.header("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip") {
    throw new ApiError("unsupported_type", "The body may be encoded with gzip, or not at all.");
  }
  const sent = await readBytes(c, maxBytes);
  const bytes = encoding === "gzip" ? await unpack(sent, maxBytes) : sent;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new ApiError("bad_request", "The request body is not valid UTF-8.");
  }
}

async function unpack(sent: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const result = await gunzip(sent, maxBytes);
  if (result === "damaged") throw new ApiError("bad_request", "The request body is not valid gzip.");
  if (result === "too large") throw tooLarge(maxBytes);
  return result;
}

/** The parser's own message quotes the body, so it is not passed on. */
function parseBody<S extends z.ZodType>(text: string, schema: S): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const message = text === "" ? "The request body is empty." : "The request body is not valid JSON.";
    throw new ApiError("bad_request", message);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ApiError("bad_request", "The request body is not valid.", problemsOf(parsed.error));
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The body's media type without its parameters; empty when none is told. */
function demandType(c: Context<AppEnv>, known: readonly string[]): string {
  const type = (c.req.header("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (known.includes(type)) return type;
  const named = known.filter((one) => one !== "" && one !== "text/plain");
  throw new ApiError("unsupported_type", `The body is taken as ${named.join(", ")}.`);
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError("too_large", `The request body is larger than ${maxBytes} bytes.`);
}

function refuse(error: ApiError): never {
  throw error;
}
