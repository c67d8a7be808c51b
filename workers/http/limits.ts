import { createMiddleware } from "hono/factory";
import { isLimitViolation, usageStatement } from "../store/usage.ts";
import type { AppEnv, KeyActor, TokenActor } from "./context.ts";
import { ApiError } from "./errors.ts";

const MINUTE_MS = 60_000;

/**
 * Counts one call of the key, or of the key that a token stands for, against its calls in this calendar minute (UTC). The
 * intake of events does not need it: it counts events, in the transaction that stores them.
 * @throws {ApiError} `rate_limited` until the minute ends
 */
export const countRequest = createMiddleware<AppEnv>(async (c, next) => {
  const actor = c.get("actor");
  if (actor.kind === "key" || actor.kind === "token") await count(c.env.DB, actor, Date.now());
  await next();
});

async function count(db: D1Database, actor: KeyActor | TokenActor, nowMs: number): Promise<void> {
  const { keyId, eventsPerMinute: eventsLimit, requestsPerMinute: requestsLimit } = actor;
  const minute = Math.floor(nowMs / MINUTE_MS);
  try {
    await usageStatement(db, { keyId, minute, events: 0, requests: 1, eventsLimit, requestsLimit }).run();
  } catch (error) {
    if (!isLimitViolation(error)) throw error;
    const retryAfterS = Math.ceil(((minute + 1) * MINUTE_MS - nowMs) / 1_000);
    const message = `This key may make ${requestsLimit} calls a minute.`;
    throw new ApiError("rate_limited", message, undefined, retryAfterS);
  }
}
