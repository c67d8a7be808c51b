import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import { type AppEnv, actorName, type LogFields } from "./context.ts";

const ERROR_MESSAGE_CHARS = 300;
const STACK_FRAMES = 12;
/** A caller's own name for its request, when it is short and cannot be taken for anything else. */
const CLIENT_REQUEST_ID = /^[\w.-]{1,64}$/;

/** Names the request, lets the rooms add fields, and writes one JSON line when the answer is ready. Bodies, queries and headers stay out. */
export const requestLog = createMiddleware<AppEnv>(async (c, next) => {
  const startedAt = Date.now();
  c.set("requestId", crypto.randomUUID());
  const clientRequestId = c.req.header("x-request-id") ?? "";
  c.set("log", CLIENT_REQUEST_ID.test(clientRequestId) ? { clientRequestId } : {});
  c.header("x-request-id", c.get("requestId")); // before there is a response, which would have to be made anew
  await next();
  const actor = c.get("actor");
  logEvent("request", {
    requestId: c.get("requestId"),
    method: c.req.method,
    route: routePath(c, -1),
    status: c.res.status,
    durationMs: Date.now() - startedAt,
    actor: actor ? actorName(actor) : null,
    ...c.get("log"),
  });
});

/** One structured log line. */
export function logEvent(event: string, fields: LogFields): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/**
 * What a log line may say of an unexpected error. A database library puts the statement's parameters, which are clients'
 * texts, into its own message: the innermost cause is told instead.
 */
export function describeError(error: unknown): LogFields {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return { error: typeof inner };
  const frames = (inner.stack ?? "").split("\n").filter((line) => line.trimStart().startsWith("at "));
  return {
    error: inner.name,
    message: inner.message.slice(0, ERROR_MESSAGE_CHARS),
    stack: frames.slice(0, STACK_FRAMES).join("\n"),
  };
}
