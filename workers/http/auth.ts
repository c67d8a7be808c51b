import { createMiddleware } from "hono/factory";
import type { Scope } from "../../shared/contracts/common.ts";
import type { Env } from "../env.ts";
import { findKey } from "../store/keys.ts";
import type { Actor, AppEnv } from "./context.ts";
import { ApiError } from "./errors.ts";
import { sha256Hex } from "./hash.ts";

/** `nm_` and base64url; the length is bounded so that nobody makes us hash a novel. */
const BEARER_KEY = /^Bearer +(nm_[A-Za-z0-9_-]{1,128})$/i;
const HEX_SHA256 = /^[0-9a-f]{64}$/;

/**
 * Puts the actor behind the bearer key into `c.get("actor")`. Every request looks its key up, so revoking works at once.
 * @throws {ApiError} `unauthorized` for a missing, malformed, unknown or revoked key
 */
export const authenticate = createMiddleware<AppEnv>(async (c, next) => {
  const key = BEARER_KEY.exec(c.req.header("authorization") ?? "")?.[1];
  if (!key) throw new ApiError("unauthorized", "Send a key as `Authorization: Bearer nm_...`.");
  const actor = await actorOfKey(c.env, key);
  if (!actor) throw new ApiError("unauthorized", "This key is unknown or revoked.");
  c.set("actor", actor);
  await next();
});

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
  if (actor.scopes.includes("admin") || anyOf.some((scope) => actor.scopes.includes(scope))) return;
  throw new ApiError("forbidden", `This needs a key with the scope ${anyOf.join(" or ")}.`);
}

async function actorOfKey(env: Pick<Env, "DB" | "ADMIN_KEY_SHA256">, key: string): Promise<Actor | null> {
  const digest = await sha256Hex(key);
  if (isBootstrap(digest, env.ADMIN_KEY_SHA256)) return { kind: "bootstrap", scopes: ["admin"] };
  const found = await findKey(env.DB, digest);
  return found && { kind: "key", ...found };
}

/** Compares in constant time; without a well-formed expected hash the door stays closed. */
function isBootstrap(digest: string, configured: string | undefined): boolean {
  const expected = configured?.trim().toLowerCase() ?? "";
  if (!HEX_SHA256.test(expected)) return false;
  const encoder = new TextEncoder();
  return crypto.subtle.timingSafeEqual(encoder.encode(digest), encoder.encode(expected));
}
