import { errorsOf } from "../../shared/contracts/api/errors.ts";
import type { Operation } from "../../shared/contracts/api/operation.ts";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import { ERROR_STATUS, errorBody } from "../../shared/contracts/common.ts";
import { eventsResponse } from "../../shared/contracts/ingest.ts";
import type { Case } from "./cases.ts";

export interface Answered {
  readonly status: number;
  readonly text: string;
  /** What is wrong with the answer; null when nothing is. */
  readonly problem: string | null;
  /** Events that it says are stored now, and that are to be stored later. */
  readonly stored: number;
  readonly queued: number;
}

/** After which an answer counts as missing. */
const PATIENCE_MS = 30_000;
const QUOTED_CHARS = 500;
const ATTEMPTS = 4;
/** What a connection that the other side closed is called. */
const CLOSED: readonly string[] = ["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"];

/** Sends a case and judges the answer by the table of operations. */
export async function send(url: string, key: string, sent: Case): Promise<Answered> {
  let response: Response;
  let text: string;
  try {
    response = await request(url, key, sent, ATTEMPTS);
    text = await response.text();
  } catch (error) {
    const { name, message, cause } = error as Error;
    return { status: 0, text: "", problem: `no answer: ${name}: ${message} ${cause ?? ""}`, stored: 0, queued: 0 };
  }
  const { status } = response;
  const results = status === 200 ? (eventsResponse.safeParse(parse(text)).data?.results ?? []) : [];
  return {
    status,
    text,
    problem: problemOf(sent, status, text),
    stored: results.filter((result) => result.status === "stored").length,
    queued: results.filter((result) => result.status === "queued").length,
  };
}

/**
 * A server that refuses a body before it has read it closes the connection, and the next request on it may meet the closed
 * end: such a one is sent again, as clients do. If it was taken all the same, the database has more than was answered.
 */
async function request(url: string, key: string, sent: Case, attempts: number): Promise<Response> {
  try {
    return await fetch(url + sent.path, {
      method: sent.method,
      headers: { authorization: `Bearer ${key}`, ...sent.headers },
      body: sent.chunked ? new Blob([sent.body]).stream() : sent.body,
      ...(sent.chunked && { duplex: "half" as const }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    } as RequestInit);
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    if (attempts <= 1 || !CLOSED.includes(code ?? "")) throw error;
    return request(url, key, sent, attempts - 1);
  }
}

function problemOf(sent: Case, status: number, text: string): string | null {
  if (status >= 500 && status !== ERROR_STATUS.not_configured) return `${status}: ${text.slice(0, QUOTED_CHARS)}`;
  const operation: Operation = OPERATIONS[sent.operation];
  const answer = operation.answers[status];
  if (answer?.kind === "json") {
    const body = answer.schema.safeParse(parse(text));
    if (!body.success) return `${status} of another shape: ${text.slice(0, QUOTED_CHARS)}`;
    const results = (body.data as { results?: unknown[] }).results?.length;
    if (sent.events === null || results === undefined || results === sent.events) return null;
    return `${results} results for ${sent.events} events`;
  }
  const { data } = errorBody.safeParse(parse(text));
  if (!data) return `${status} without an error in its shape: ${text.slice(0, QUOTED_CHARS)}`;
  const { code } = data.error;
  if (ERROR_STATUS[code] !== status) return `${code} with the status ${status}`;
  return errorsOf(operation).includes(code) ? null : `${code}, which is not documented for ${sent.operation}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
