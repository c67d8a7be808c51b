import { createHash } from "node:crypto";
import fc from "fast-check";
import type { OPERATIONS } from "../../shared/contracts/api.ts";
import { arbitraryOf, mostly, type Schema, type Schemas } from "./arbitrary.ts";
import { mutate, mutations } from "./mutate.ts";
import { AUTHORIZATIONS, type Sent, TRANSPORTS } from "./transport.ts";

/** One request, and what is known of it beforehand. */
export interface Case extends Sent {
  readonly operation: keyof typeof OPERATIONS;
  readonly method: string;
  readonly path: string;
}

/** The part of the OpenAPI document that cases are made from. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedCall>>>>;
  readonly components: { readonly schemas: Schemas };
}
interface DocumentedCall {
  readonly operationId: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
}

/** Events of a request, besides one that is repeated. */
const EVENTS = 5;

/** Requests to the intake: mostly well-made, then spoilt at some place. */
export function casesOf(document: Document): fc.Arbitrary<Case> {
  return fc.oneof(
    { weight: 10, arbitrary: eventCases(document, "submitFailures") },
    { weight: 6, arbitrary: eventCases(document, "submitPairs") },
    { weight: 2, arbitrary: jsonCases(document, "listMissingImages") },
    { weight: 2, arbitrary: jsonCases(document, "createToken") },
    { weight: 3, arbitrary: imageCases() },
  );
}

function eventCases(document: Document, operation: "submitFailures" | "submitPairs"): fc.Arbitrary<Case> {
  const { path, schema } = lookUp(document, operation, "application/x-ndjson");
  const event = arbitraryOf(schema, document.components.schemas).map(plausible);
  const spoilt = fc.tuple(event, mutations).map(([good, changes]) => mutate(good, changes));
  const events = fc
    .array(fc.oneof({ weight: 3, arbitrary: event }, { weight: 1, arbitrary: spoilt }), {
      minLength: 1,
      maxLength: EVENTS,
    })
    .chain((list) =>
      fc.tuple(fc.constant(list), mostly(null, repeats(list))).map(([all, again]) => (again ? [...all, again] : all)),
    );
  const json = fc.tuple(events, mostly(null, mutations)).map(([list, changes]) => {
    const whole = changes ? mutate({ events: list }, changes) : { events: list };
    return { text: JSON.stringify(whole) ?? "", type: "application/json", events: changes ? null : list.length };
  });
  const lines = fc.tuple(events, fc.array(BROKEN_LINE, { maxLength: 2 })).map(([list, broken]) => ({
    text: [...list.map((one) => JSON.stringify(one) ?? ""), ...broken].join("\n"),
    type: "application/x-ndjson",
    events: list.length + broken.filter((line) => line.trim() !== "").length,
  }));
  return fc.tuple(fc.oneof(json, lines), TRANSPORTS).map(([body, transport]) => ({
    operation,
    method: "POST",
    path,
    ...transport(body.text, body.type, body.events),
  }));
}

const BROKEN_LINE = fc.constantFrom("", "  ", "{", "null", "[]", '"', "{}}", "\u0000", '{"eventId": "x"', "NaN");

interface Part {
  readonly type: string;
  readonly frames?: { readonly timeMs: number }[];
}

/** What the schema cannot say of a conversation, most events keep to all the same: who asks last, one video, frames in order. */
function plausible(event: unknown): unknown {
  const { conversation = [] } = event as { conversation?: { role: string; content: Part[] }[] };
  let videos = 0;
  for (const turn of conversation) {
    for (const { frames } of turn.content) frames?.sort((a, b) => a.timeMs - b.timeMs);
    turn.content = turn.content.map((part) =>
      part.type === "video" && ++videos > 1 ? { type: "text", text: "and another video" } : part,
    );
  }
  const last = conversation.at(-1);
  if (last) last.role = "user";
  return event;
}

/** The same event again, or another one under its id. */
function repeats(list: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.constantFrom(...list), fc.boolean())
    .map(([event, changed]) => (changed && isObject(event) ? { ...event, reason: "another one" } : event));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function jsonCases(document: Document, operation: "listMissingImages" | "createToken"): fc.Arbitrary<Case> {
  const { path, schema } = lookUp(document, operation, "application/json");
  const good = arbitraryOf(schema, document.components.schemas);
  return fc.tuple(good, mostly(null, mutations), TRANSPORTS).map(([value, changes, transport]) => ({
    operation,
    method: "POST",
    path,
    ...transport(JSON.stringify(changes ? mutate(value, changes) : value) ?? "", "application/json", null),
  }));
}

/** A grey pixel, and what begins like an image. */
const IMAGES = [
  "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADAQMAAABh+Fe7AAAABlBMVEUuLycuABYgsixgAAAADklEQVR4nGP4wcDAwAAABN4A+eEQ1+sAAAAASUVORK5CYII=",
  "iVBORw0KGgoAAAANSUhEUgAAAAU=",
  "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
  "R0lGODlhAQAB",
  "/9j/4AAQSkZJRgABAQ==",
  "UklGRg==",
].map((base64) => Uint8Array.from(Buffer.from(base64, "base64")));

function imageCases(): fc.Arbitrary<Case> {
  const bytes = fc.oneof(
    fc.constantFrom(...IMAGES),
    fc.uint8Array({ maxLength: 200 }),
    spliced(fc.constantFrom(...IMAGES)),
  );
  const name = fc.constantFrom("right", "right", "right", "wrong", "short", "upper", "odd");
  return fc.tuple(bytes, name, fc.boolean(), AUTHORIZATIONS).map(([body, kind, chunked, headers]) => {
    const hash = createHash("sha256").update(body).digest("hex");
    const names = {
      right: hash,
      wrong: "0".repeat(64),
      short: hash.slice(1),
      upper: hash.toUpperCase(),
      odd: "%00%ff%20",
    };
    const path = `/v1/images/${names[kind as keyof typeof names]}`;
    return { operation: "putImage", method: "PUT", path, headers, body: Uint8Array.from(body), chunked, events: null };
  });
}

/** Bytes with a piece cut out and another put in. */
function spliced(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(whole, fc.nat(), fc.nat(40), fc.uint8Array({ maxLength: 20 })).map(([bytes, at, cut, piece]) => {
    const start = at % (bytes.length + 1);
    return Uint8Array.from([...bytes.subarray(0, start), ...piece, ...bytes.subarray(start + cut)]);
  });
}

function lookUp(document: Document, operation: string, mediaType: string): { path: string; schema: Schema } {
  for (const [path, calls] of Object.entries(document.paths)) {
    for (const { operationId, requestBody } of Object.values(calls)) {
      const schema = requestBody?.content[mediaType]?.schema;
      if (operationId === operation && schema) return { path, schema };
    }
  }
  throw new Error(`the document has no ${operation} with a body of ${mediaType}`);
}
