import type { Context, Hono } from "hono";
import { ERROR_STATUS, type ErrorBody } from "../../shared/contracts/common.ts";
import { isTransient } from "../store/db.ts";
import type { AppEnv } from "./context.ts";
import { ApiError } from "./errors.ts";
import { describeError } from "./log.ts";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
/** Seconds after which an overloaded caller may come again, when nothing better is known. */
const BUSY_RETRY_AFTER_S = 2;

/** Every error leaves in one shape. What was not meant for the caller becomes `internal` and goes to the log. */
export function onError(error: unknown, c: Context<AppEnv>): Response {
  const shown = toApiError(error);
  c.get("log").code = shown.code;
  if (!(error instanceof ApiError)) Object.assign(c.get("log"), describeError(error));
  if (shown.code === "unauthorized") c.header("www-authenticate", "Bearer");
  const retryAfterS = shown.retryAfterS ?? (shown.code === "overloaded" ? BUSY_RETRY_AFTER_S : undefined);
  if (retryAfterS !== undefined) c.header("retry-after", String(retryAfterS));
  const body: ErrorBody = {
    error: {
      code: shown.code,
      message: shown.message,
      requestId: c.get("requestId"),
      ...(shown.details && { details: [...shown.details] }),
    },
  };
  return c.json(body, ERROR_STATUS[shown.code]);
}

/** 404, or 405 with `allow` when the path exists for other methods. */
export function notFound(app: Hono<AppEnv>) {
  return (c: Context<AppEnv>): Response => {
    const allowed = METHODS.filter((method) => isRouted(app, method, c.req.path));
    if (allowed.length === 0) return onError(new ApiError("not_found", "There is nothing at this path."), c);
    c.header("allow", allowed.join(", "));
    const message = `This path answers ${allowed.join(" and ")} only.`;
    return onError(new ApiError("method_not_allowed", message), c);
  };
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (isTransient(error))
    return new ApiError("overloaded", "The database is busy. The same request may be sent again.");
  return new ApiError("internal", "Something went wrong here. The request id finds it in the log.");
}

/** Middleware is registered for all methods and does not make a path exist. */
function isRouted(app: Hono<AppEnv>, method: string, path: string): boolean {
  const [matches] = app.router.match(method, path);
  return matches.some(([[, route]]) => route.method !== "ALL");
}
