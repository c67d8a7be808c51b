/// <reference types="@cloudflare/vitest-plugin/types" />
import type { D1Migration } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import type { ErrorBody, Scope } from "../../shared/contracts/common.ts";
import type { EventResult } from "../../shared/contracts/ingest.ts";
import type { Env } from "../../workers/env.ts";

/** What every test inside workerd needs. */

declare global {
  namespace Cloudflare {
    interface Env extends WorkerEnv {
      MIGRATIONS: D1Migration[];
    }
    interface GlobalProps {
      mainModule: typeof import("../../workers/index.ts");
    }
  }
}
type WorkerEnv = Env;

/** The bootstrap key whose hash the test configuration binds. */
export const ADMIN_KEY = "nm_test-admin";

export interface Call {
  key?: string;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: BodyInit;
  headers?: Record<string, string>;
}

/** A request to the Worker, through its real entry. */
export async function call(method: string, path: string, { key, json, body, headers }: Call = {}): Promise<Response> {
  const sent = json === undefined ? body : JSON.stringify(json);
  return exports.default.fetch(
    new Request(`https://edge.test${path}`, {
      method,
      headers: { ...(key !== undefined && { authorization: `Bearer ${key}` }), ...headers },
      ...(sent !== undefined && { body: sent }),
    }),
  );
}

/** The body of an answer that must have this status. */
export async function expectJson<T>(response: Response, status = 200): Promise<T> {
  const text = await response.text();
  if (response.status !== status) throw new Error(`expected ${status}, got ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

export async function expectError(response: Response, status: number): Promise<ErrorBody["error"]> {
  return (await expectJson<ErrorBody>(response, status)).error;
}

export interface TestKey {
  id: string;
  clientId: string;
  key: string;
}

let clients = 0;

/** A key of a client of its own, unless one is named. */
export async function createKey(
  scopes: Scope[],
  options: { client?: string; reportCap?: number } = {},
): Promise<TestKey> {
  const json = { client: `client-${++clients}`, ...options, scopes };
  return expectJson(await call("POST", "/v1/keys", { key: ADMIN_KEY, json }), 201);
}

const LANGUAGES =
  "aa ab af am an as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cv cy da dv dz ee eo et eu ff fj fo fy ga gd gl gn".split(
    " ",
  );
let languages = 0;

/** Lets every language be fresh again: the stores are empty. */
export function forgetLanguages(): void {
  languages = 0;
}

/** A language that no other test of the file reports in: so its regions are the test's own. */
export function freshLanguage(): string {
  const language = LANGUAGES[languages++];
  if (language === undefined) throw new Error("no language is left");
  return language;
}

export interface TestEvent {
  eventId: string;
  [field: string]: unknown;
}

/** A wrong answer to a counting question on one image; `fields` replace or add. */
export function testEvent(eventId: string, fields: Record<string, unknown> = {}): TestEvent {
  return {
    eventId,
    occurredAt: 1_760_000_000_000,
    model: "mini-1",
    conversation: prompt("How many dogs are there?", "ab".repeat(32)),
    response: "There are three dogs.",
    reference: "There are two dogs.",
    task: "counting",
    errorType: "count-near",
    language: "en",
    ...fields,
  };
}

/** One user turn: the images, then the question. */
export function prompt(question: string, ...images: string[]) {
  const parts = images.map((sha256) => ({ type: "image", sha256 }));
  return [{ role: "user", content: [...parts, { type: "text", text: question }] }];
}

/** Posts a batch that must be accepted, and gives the result per event. */
export async function postEvents(key: string, events: readonly unknown[]): Promise<EventResult[]> {
  const response = await call("POST", "/v1/failures", { key, json: { events } });
  return (await expectJson<{ results: EventResult[] }>(response)).results;
}

export async function countRows(table: string): Promise<number> {
  const row = await env.DB.prepare(`SELECT COUNT(*) AS n FROM ${table}`).first<{ n: number }>();
  return row?.n ?? 0;
}

/** The rows that came of one event. */
export async function rowsOf(table: "failures" | "sources", clientId: string, eventId: string) {
  const column = table === "failures" ? "id" : "failure_id";
  const { results } = await env.DB.prepare(
    `SELECT * FROM ${table} WHERE ${column} IN (SELECT id FROM failures WHERE client_id = ?1 AND event_id = ?2)`,
  )
    .bind(clientId, eventId)
    .all();
  return results;
}

/** What was counted in the regions of one language, by `task/error/modality`; `failures` are all, `counted` those for the next plan. */
export async function regionCounts(language: string) {
  const { results } = await env.DB.prepare("SELECT * FROM regions WHERE language = ?1")
    .bind(language)
    .all<Record<string, number | string>>();
  return Object.fromEntries(
    results.map((row) => [
      `${row.task}/${row.error_type}/${row.modality}`,
      { failures: Number(row.total_failures), counted: Number(row.new_failures), exposures: Number(row.new_exposures) },
    ]),
  );
}

export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A real PNG of one grey; another shade is another image. `declared` lies about the size in the header. */
export async function makePng(
  size: { width: number; height: number },
  shade = 0,
  declared: { width: number; height: number } = size,
): Promise<Uint8Array> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, declared.width);
  view.setUint32(4, declared.height);
  header[8] = 8; // bits per sample; the colour type, 0, is grey
  const scanlines = new Uint8Array((size.width + 1) * size.height).fill(shade);
  for (let row = 0; row < size.height; row++) scanlines[row * (size.width + 1)] = 0;
  const parts = [
    Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    pngChunk("IHDR", header),
    pngChunk("IDAT", await deflate(scanlines)),
    pngChunk("IEND", new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(new TextEncoder().encode(type), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

async function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
