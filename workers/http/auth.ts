import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { Scope } from "../../shared/contracts/common.ts";
import type { Env } from "../env.ts";
import { findKey, type LiveKey } from "../store/keys.ts";
import type { Actor, AppEnv, LinkActor, TokenActor } from "./context.ts";
import { ApiError } from "./errors.ts";
import { sha256Hex } from "./hash.ts";
import { KeyCache, type KeyName } from "./key-cache.ts";
import { verifyFor } from "./sign.ts";

/** `nm_` and base64url; the length is bounded so that nobody makes us hash a novel. */
const BEARER_KEY = /^Bearer +(nm_[A-Za-z0-9_-]{1,128})$/i;
const BEARER_TOKEN = /^Bearer +nmt_([A-Za-z0-9_.-]+)$/i;
const IMAGE_PATH = /^\/v1\/images\/([0-9a-f]{64})$/;
const HEX_SHA256 = /^[0-9a-f]{64}$/;

const keys = new KeyCache();

/**
 * Puts into `c.get("actor")` who is behind the bearer key, the browser token or, for one image, the signed link. A key that
 * was revoked works nowhere after `KEY_CACHE_MS`; one that expires, at once.
 * @throws {ApiError} `unauthorized` for whatever is missing, malformed, unknown, revoked or expired; `forbidden` for a token
 * from another origin than its own
 */
export const authenticate = createMiddleware<AppEnv>(async (c, next) => {
  c.set("actor", await actorOf(c, Date.now()));
  await next();
});

/** Makes this isolate read a key anew: to be called after its row was changed. */
export function forgetKey(id: string): void {
  keys.forget(id);
}

/**
 * Lets a request pass whose actor has one of the scopes; `admin` has all.
 * @throws {ApiError} `forbidden`
 */
export function requireScope(...anyOf: readonly Scope[]) {
  return createMiddleware<AppEnv>(async (c, next) => {
    demand(c.get("actor"), ...anyOf);
    await next();
  });
}

/**
 * The same check inside a verb, so that a route that forgot it opens nothing.
 * @throws {ApiError} `forbidden`
 */
export function demand(actor: Actor, ...anyOf: readonly Scope[]): void {
  const scopes: readonly Scope[] = actor.scopes;
  if (scopes.includes("admin") || anyOf.some((scope) => scopes.includes(scope))) return;
  throw new ApiError("forbidden", `This needs a key with the scope ${anyOf.join(" or ")}.`);
}

async function actorOf(c: Context<AppEnv>, nowMs: number): Promise<Actor> {
  const authorization = c.req.header("authorization");
  const link = c.req.query("link");
  if (authorization === undefined && link !== undefined) return actorOfLink(c, link);
  const token = BEARER_TOKEN.exec(authorization ?? "")?.[1];
  if (token) return actorOfToken(c, token, nowMs);
  const key = BEARER_KEY.exec(authorization ?? "")?.[1];
  if (key) return actorOfKey(c.env, key, nowMs);
  throw new ApiError("unauthorized", "Send a key as `Authorization: Bearer nm_...`.");
}

async function actorOfKey(env: Pick<Env, "DB" | "ADMIN_KEY_SHA256">, key: string, nowMs: number): Promise<Actor> {
  const keySha256 = sha256Hex(key);
  const isStored = keys.held({ keySha256 }, nowMs) !== null;
  if (!isStored && isBootstrap(keySha256, env.ADMIN_KEY_SHA256)) return { kind: "bootstrap", scopes: ["admin"] };
  const found = await liveKey(env, { keySha256 }, nowMs);
  if (!found) throw new ApiError("unauthorized", "This key is unknown, revoked or expired.");
  return { kind: "key", ...clientOf(found), scopes: found.scopes };
}

async function actorOfToken(c: Context<AppEnv>, token: string, nowMs: number): Promise<TokenActor> {
  const claims = await verifyFor(c.env, "feedback", token);
  if (!claims) throw new ApiError("unauthorized", "This token is damaged or expired.");
  const { sub: id, model, origin } = claims;
  // Browsers write this header and let no page change it. Others can write what they like: then the token is what it stands for.
  if (c.req.header("origin") !== origin) throw new ApiError("forbidden", "This token is for another origin.");
  const key = await liveKey(c.env, { id }, nowMs);
  if (!key) throw new ApiError("unauthorized", "The key that made this token is revoked or expired.");
  return { kind: "token", ...clientOf(key), scopes: ["feedback"], model, origin };
}

/** A link is good for reading the one image that it names, at that image's path. */
async function actorOfLink(c: Context<AppEnv>, link: string): Promise<LinkActor> {
  const image = c.req.method === "GET" ? IMAGE_PATH.exec(c.req.path)?.[1] : undefined;
  const claims = image === undefined ? null : await verifyFor(c.env, "image", link);
  if (!claims || claims.sub !== image) {
    throw new ApiError("unauthorized", "This link is damaged, expired or for something else.");
  }
  return { kind: "link", scopes: ["train"] };
}

/**
 * A key that is neither revoked nor expired. Keys are found by hash, in the cache and in the table's index: how long that
 * takes tells something of hashes, and nothing of keys.
 */
async function liveKey(env: Pick<Env, "DB">, name: KeyName, nowMs: number): Promise<LiveKey | null> {
  const key = await keys.get(name, nowMs, () => findKey(env.DB, name));
  return key && (key.expiresAt === null || nowMs < key.expiresAt) ? key : null;
}

function clientOf({ id, clientId, reportCap, eventsPerMinute, requestsPerMinute }: LiveKey) {
  return { keyId: id, clientId, reportCap, eventsPerMinute, requestsPerMinute };
}

/** Compares in constant time; without a well-formed expected hash the door stays closed. */
function isBootstrap(digest: string, configured: string | undefined): boolean {
  const expected = configured?.trim().toLowerCase() ?? "";
  if (!HEX_SHA256.test(expected)) return false;
  const encoder = new TextEncoder();
  return crypto.subtle.timingSafeEqual(encoder.encode(digest), encoder.encode(expected));
}
