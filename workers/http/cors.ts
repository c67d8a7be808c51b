import type { Context } from "hono";
import { cors } from "hono/cors";
import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./context.ts";

/** What a page may ask for with a token. */
const OPEN_TO_PAGES = /^\/v1\/(failures|pairs|images\/[^/]+)$/;
/** How long a browser remembers the answer to a preflight, s; Chromium does so for two hours at most. */
const PREFLIGHT_MAX_AGE_S = 7_200;
const BEARER_TOKEN = /^Bearer +nmt_/i;

/**
 * Pages may call with a browser token, and read what comes back. Whether the token is good for their origin is for
 * `authenticate` to say; a page must be able to read its refusal too, to fetch another token. A key gets no such headers: it
 * does not belong into a browser. Preflights carry no token, so this stands before `authenticate`.
 */
export const allowPages = createMiddleware<AppEnv>((c, next) =>
  isPreflight(c) || BEARER_TOKEN.test(c.req.header("authorization") ?? "") ? answerPages(c, next) : next(),
);

const answerPages = cors({
  origin: (origin) => origin,
  allowMethods: ["POST", "PUT"],
  allowHeaders: ["authorization", "content-type", "content-encoding"],
  exposeHeaders: ["retry-after", "x-request-id"],
  maxAge: PREFLIGHT_MAX_AGE_S,
});

function isPreflight(c: Context<AppEnv>): boolean {
  const asked = c.req.header("access-control-request-method");
  return c.req.method === "OPTIONS" && asked !== undefined && OPEN_TO_PAGES.test(c.req.path);
}
