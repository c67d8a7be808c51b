import { env } from "cloudflare:workers";
import { Hono } from "hono";
import type { z } from "zod";
import { createKeyRequest } from "../../shared/contracts/operator.ts";
import type { Env } from "../../workers/env.ts";
import { authenticate } from "../../workers/http/auth.ts";
import type { Actor, AppEnv, KeyActor } from "../../workers/http/context.ts";
import { allowPages } from "../../workers/http/cors.ts";
import { onError } from "../../workers/http/failure.ts";
import { countRequest } from "../../workers/http/limits.ts";
import { requestLog } from "../../workers/http/log.ts";
import { createKey } from "../../workers/operator/keys.ts";

/** The door without the rooms: every path says who came in. */

export const ADMIN: Actor = { kind: "bootstrap", scopes: ["admin"] };
export const SIGNING_SECRET = "a secret of tests, long enough to sign with";

const app = new Hono<AppEnv>();
app.use(requestLog, allowPages, authenticate, countRequest);
app.all("*", (c) => c.json(c.get("actor")));
app.onError(onError);

export async function knock(
  path: string,
  { method = "GET", ...headers }: Record<string, string>,
  bindings: Partial<Env> = {},
): Promise<Response> {
  return app.request(path, { method, headers }, { ...env, SIGNING_SECRET, ...bindings });
}

/** What the door answers to a key. */
export async function statusOf(key: string, bindings: Partial<Env> = {}): Promise<number> {
  const response = await knock("/", { authorization: `Bearer ${key}` }, bindings);
  await response.body?.cancel();
  return response.status;
}

let clients = 0;

/** A key, of a client of its own, and the actor that it stands for. */
export async function keyWith(
  fields: Partial<z.input<typeof createKeyRequest>> = {},
): Promise<{ id: string; key: string; actor: KeyActor }> {
  const asked = createKeyRequest.parse({ client: `door-${++clients}`, scopes: ["ingest"], ...fields });
  const { id, clientId, key, scopes } = await createKey(env, ADMIN, asked, Date.now());
  const { reportCap, eventsPerMinute, requestsPerMinute } = asked;
  const actor = { kind: "key", keyId: id, clientId, scopes, reportCap, eventsPerMinute, requestsPerMinute } as const;
  return { id, key, actor };
}

/** The database, counting the statements that are prepared, or refusing them with a message. */
export function watched(refusal?: string): { DB: D1Database; statements: () => number } {
  let statements = 0;
  const prepare = (sql: string) => {
    statements += 1;
    if (refusal) throw new Error(refusal);
    return env.DB.prepare(sql);
  };
  const DB = new Proxy(env.DB, {
    get: (db, name) => (name === "prepare" ? prepare : (Reflect.get(db, name) as () => unknown).bind(db)),
  });
  return { DB, statements: () => statements };
}

/** A signed text with one character replaced by another of its alphabet. */
export function tampered(text: string, at: number, shift: number): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const place = at % text.length;
  const index = alphabet.indexOf(text.charAt(place));
  const other = index < 0 ? "A" : alphabet.charAt((index + 1 + (shift % (alphabet.length - 1))) % alphabet.length);
  return text.slice(0, place) + other + text.slice(place + 1);
}
