import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiMediaTypeObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiOverrideContext,
  type ZodOpenApiParameters,
  type ZodOpenApiPathsObject,
  type ZodOpenApiRequestBodyObject,
  type ZodOpenApiResponseObject,
} from "zod-openapi";
import { ERROR_MEANING, errorsOf } from "../../shared/contracts/api/errors.ts";
import { type Answer, type Body, type Operation, TAGS } from "../../shared/contracts/api/operation.ts";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import { ERROR_STATUS, type ErrorCode, errorBody, LIMITS } from "../../shared/contracts/common.ts";
import { nameComponents } from "./components.ts";

export type OpenApiDocument = ReturnType<typeof createDocument>;

let made: OpenApiDocument | undefined;

/** The table of operations as an OpenAPI 3.1 document; made once, when it is first asked for. */
export function openApiDocument(): OpenApiDocument {
  made ??= makeDocument();
  return made;
}

function makeDocument(): OpenApiDocument {
  nameComponents();
  return createDocument(
    {
      openapi: "3.1.0",
      info: {
        title: "Nearmiss",
        version: "1",
        description:
          "What a deployed vision-language model gets wrong goes in, and the training data that fix it come out. Times are " +
          "integer milliseconds since the Unix epoch; hashes are lower-case hex SHA-256. Bodies of JSON and NDJSON may be " +
          "gzipped; a limit holds for what is sent and for what it unpacks to. Every error has one shape.",
      },
      tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
      paths: pathsOf(OPERATIONS),
      components: { securitySchemes: SECURITY_SCHEMES },
    },
    { override: leaveOpen },
  );
}

/** Answers may gain fields: a document that closes them would make every addition a break. */
function leaveOpen({ jsonSchema, zodSchema, io }: ZodOpenApiOverrideContext): void {
  const { def } = zodSchema._zod;
  if (io === "output" && def.type === "object" && def.catchall === undefined) delete jsonSchema.additionalProperties;
}

const SECURITY_SCHEMES = {
  key: {
    type: "http",
    scheme: "bearer",
    description:
      "A key, `nm_...`: `authorization: Bearer nm_...`. Its scopes say which calls it opens; `admin` opens all.",
  },
  token: {
    type: "http",
    scheme: "bearer",
    description: "A browser's token, `nmt_...`, made by `POST /v1/tokens`. It opens what the scope `feedback` opens.",
  },
  link: {
    type: "apiKey",
    in: "query",
    name: "link",
    description: "What `POST /v1/links` signed: it opens the one image that it names.",
  },
} as const;

function pathsOf(operations: Readonly<Record<string, Operation>>): ZodOpenApiPathsObject {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const [id, operation] of Object.entries(operations)) {
    paths[operation.path] = { ...paths[operation.path], [operation.method.toLowerCase()]: describe(id, operation) };
  }
  return paths;
}

function describe(id: string, operation: Operation): ZodOpenApiOperationObject {
  const { tag, summary, description, parameters, body } = operation;
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    security: securityOf(operation),
    ...(operation.access !== "open" && { "x-scopes": [...operation.access] }),
    ...(parameters && { requestParams: paramsOf(parameters) }),
    ...(body && { requestBody: describeBody(body) }),
    responses: responsesOf(operation),
  };
}

function paramsOf({ path, query, headers }: NonNullable<Operation["parameters"]>): ZodOpenApiParameters {
  return { ...(path && { path }), ...(query && { query }), ...(headers && { header: headers }) };
}

function securityOf({ access, link }: Operation): Record<string, string[]>[] {
  if (access === "open") return [];
  const ways = ["key", ...(access.includes("feedback") ? ["token"] : []), ...(link ? ["link"] : [])];
  return ways.map((way) => ({ [way]: [] }));
}

function describeBody(body: Body): ZodOpenApiRequestBodyObject {
  const atMost = `At most ${body.maxBytes.toLocaleString("en")} bytes`;
  switch (body.kind) {
    case "json":
      return {
        required: true,
        description: `${atMost}.`,
        content: { "application/json": withExample(body.schema, body) },
      };
    case "events": {
      const events = z.strictObject({ events: z.array(body.event).min(1).max(LIMITS.eventsPerRequest) });
      const whole = body.example === undefined ? {} : { example: { events: [body.example] } };
      return {
        required: true,
        description: `${atMost} and ${LIMITS.eventsPerRequest} events. As NDJSON, one event is one line.`,
        content: {
          "application/json": withExample(events, whole),
          "application/x-ndjson": withExample(body.event, body),
        },
      };
    }
    case "bytes":
    case "stream":
      return { required: true, description: `${atMost}.`, content: binary(body.mediaTypes) };
  }
}

function withExample(schema: z.ZodType, { example }: { readonly example?: unknown }): ZodOpenApiMediaTypeObject {
  return { schema, ...(example !== undefined && { example }) };
}

/** Bytes have a media type and no schema (OpenAPI 3.1). */
function binary(mediaTypes: readonly string[]) {
  return Object.fromEntries(mediaTypes.map((type) => [type, {}]));
}

function responsesOf(operation: Operation): ZodOpenApiOperationObject["responses"] {
  const good = Object.entries(operation.answers).map(([status, answer]) => [status, describeAnswer(answer)] as const);
  const taken = new Set(good.map(([status]) => status));
  const bad = errorsOf(operation)
    .map((code) => [String(ERROR_STATUS[code]), ERRORS[code]] as const)
    .filter(([status]) => !taken.has(status));
  return Object.fromEntries([...good, ...bad]);
}

function describeAnswer(answer: Answer): ZodOpenApiResponseObject {
  const { description } = answer;
  switch (answer.kind) {
    case "json":
      return { description, content: { "application/json": { schema: answer.schema } } };
    case "ndjson":
      return {
        description,
        ...(answer.headers && { headers: answer.headers }),
        content: { "application/x-ndjson": { schema: answer.line } },
      };
    case "bytes":
      return { description, content: binary(answer.mediaTypes) };
    case "none":
      return { description };
  }
}

const retryAfter = z.object({ "retry-after": z.int().meta({ description: "Seconds." }) });

/** Each error once, as a component by its code. */
const ERRORS = byCode(
  (code): ZodOpenApiResponseObject => ({
    id: code,
    description: ERROR_MEANING[code],
    content: { "application/json": { schema: errorBody } },
    ...((code === "rate_limited" || code === "overloaded") && { headers: retryAfter }),
  }),
);

function byCode<T>(make: (code: ErrorCode) => T): Record<ErrorCode, T> {
  const codes = Object.keys(ERROR_MEANING) as ErrorCode[];
  return Object.fromEntries(codes.map((code) => [code, make(code)])) as Record<ErrorCode, T>;
}
