import type { Context, Hono, MiddlewareHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { z } from "zod";
import type { Body, Operation, Parameters } from "../../shared/contracts/api/operation.ts";
import { authenticate, requireScope } from "./auth.ts";
import { type EventsText, readBytes, readEventsText, readJson } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { countRequest } from "./limits.ts";
import { readPart } from "./params.ts";

/** What a request brought, parsed as its operation says. */
export interface Given<O extends Operation> {
  readonly path: Part<O, "path">;
  readonly query: Part<O, "query">;
  readonly headers: Part<O, "headers">;
  readonly body: BodyOf<O>;
}
type Part<O, P extends keyof Parameters> = O extends { parameters: Record<P, infer S extends z.ZodType> }
  ? z.output<S>
  : null;
/** A stream is left to the handler: `c.req.raw.body`. */
type BodyOf<O> = O extends { body: infer B }
  ? B extends { kind: "json"; schema: infer S extends z.ZodType }
    ? z.output<S>
    : B extends { kind: "events" }
      ? EventsText
      : B extends { kind: "bytes" }
        ? Uint8Array
        : null
  : null;

/** What a handler gives back: the data of a JSON answer, nothing where the answer has no body, a response for bytes. */
export type Result<O extends Operation> = Told<O["answers"][keyof O["answers"]]> | Response;
type Told<A> = A extends { kind: "json"; schema: infer S extends z.ZodType }
  ? z.output<S>
  : A extends { kind: "none" }
    ? // biome-ignore lint/suspicious/noConfusingVoidType: what a verb without an answer returns
      void
    : never;

type Handler<O extends Operation> = (c: Context<AppEnv>, given: Given<O>) => Promise<Result<O>> | Result<O>;

/**
 * Makes the route of an operation. Who may call it, what is counted, and what it takes, come from the table, in front of the
 * handler: a handler sees only requests that are as the table says.
 */
export function mount<O extends Operation>(app: Hono<AppEnv>, operation: O, handler: Handler<O>): void {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, ":$1");
  app.on(operation.method, [path], ...guardsOf(operation), async (c) => {
    const result = await handler(c, await readGiven(c, operation));
    if (result instanceof Response) return result;
    if (result === undefined) return c.body(null, 204);
    return c.json(result as object, statusOf(operation, result as object));
  });
}

function guardsOf({ access, counted }: Operation): MiddlewareHandler<AppEnv>[] {
  if (access === "open") return [];
  return [authenticate, requireScope(...access), ...(counted === "events" ? [] : [countRequest])];
}

async function readGiven<O extends Operation>(c: Context<AppEnv>, { parameters, body }: O): Promise<Given<O>> {
  return {
    path: parameters?.path ? readPart("path", parameters.path, c.req.param()) : null,
    query: parameters?.query ? readPart("query", parameters.query, c.req.query()) : null,
    headers: parameters?.headers ? readPart("headers", parameters.headers, c.req.header()) : null,
    body: body ? await readBody(c, body) : null,
  } as Given<O>;
}

function readBody(c: Context<AppEnv>, body: Body): unknown {
  switch (body.kind) {
    case "json":
      return readJson(c, body.schema, body.maxBytes);
    case "events":
      return readEventsText(c, body.maxBytes);
    case "bytes":
      return readBytes(c, body.maxBytes);
    case "stream":
      return null;
  }
}

/** Of two good answers, 201 is for what was created. */
function statusOf({ answers }: Operation, result: object): ContentfulStatusCode {
  const [first, second] = Object.keys(answers)
    .map(Number)
    .filter((status) => status < 300) as ContentfulStatusCode[];
  if (first === undefined) throw new Error("an operation has no good answer");
  return second !== undefined && "created" in result && result.created === true ? second : first;
}
