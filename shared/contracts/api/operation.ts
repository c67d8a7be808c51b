import type { z } from "zod";
import type { ErrorCode, Scope } from "../common.ts";

/** How one call of the HTTP interface looks: who may make it, what it takes, and what it answers. Data only. */
export interface Operation {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** What varies stands in braces. */
  readonly path: `/${string}`;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  /** A key with one of these scopes may call, and `admin` always; or anybody. */
  readonly access: readonly Scope[] | "open";
  /** Whoever holds a signed link may call it too. */
  readonly link?: true;
  /** What the calls of a key are counted as. Events are counted one by one, where they are stored. */
  readonly counted?: "events";
  readonly parameters?: Parameters;
  readonly body?: Body;
  /** By status. Of two, 201 is for an answer that says `created: true`. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Errors beyond those that access, parameters and body bring with them. */
  readonly errors?: readonly ErrorCode[];
}

export interface Parameters {
  readonly path?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
}

export type Body =
  /** One JSON document. */
  | { readonly kind: "json"; readonly schema: z.ZodType; readonly maxBytes: number; readonly example?: unknown }
  /** Many events: `{"events": [...]}` in JSON, or a line each. They are checked one by one, so a bad one costs no good one. */
  | { readonly kind: "events"; readonly event: z.ZodType; readonly maxBytes: number; readonly example?: unknown }
  /** Bytes that are read whole, or passed on as they come in. */
  | { readonly kind: "bytes" | "stream"; readonly mediaTypes: readonly string[]; readonly maxBytes: number };

export type Answer =
  | { readonly kind: "json"; readonly schema: z.ZodType; readonly description: string }
  | { readonly kind: "ndjson"; readonly line: z.ZodType; readonly headers?: z.ZodObject; readonly description: string }
  | { readonly kind: "bytes"; readonly mediaTypes: readonly string[]; readonly description: string }
  | { readonly kind: "none"; readonly description: string };

export type Operations = Readonly<Record<string, Operation>>;

/** The parts of the interface, in the order in which they are explained. */
export const TAGS = {
  Events: "What deployed clients report: failures, pairs of answers with rewards, and the images these are about.",
  Review: "What waits for an operator: events without a right answer, and events that are kept aside.",
  Scheduling: "Plans of what to edit next, and what came of them.",
  Pairs: "What rounds train on: where each pair came from, what was measured of it, and whether it is doubted.",
  Training: "What a training run calls. Every call on a claimed round names the lease; a late holder changes nothing.",
  Adapters: "The results of training, and which of them clients should run.",
  Operating: "The policy, and what the loop knows and did.",
  Access: "Keys of clients and trainers, tokens for browsers, links to single images.",
  Retention: "Deletion on request.",
  System: "Health, metrics and this description.",
} as const;
export type Tag = keyof typeof TAGS;

export function json<S extends z.ZodType>(schema: S, description = "Done.") {
  return { kind: "json", schema, description } as const;
}

export function ndjson<S extends z.ZodType, H extends z.ZodObject>(line: S, headers: H, description: string) {
  return { kind: "ndjson", line, headers, description } as const;
}

export function bytes(mediaTypes: readonly string[], description: string) {
  return { kind: "bytes", mediaTypes, description } as const;
}

export function none(description: string) {
  return { kind: "none", description } as const;
}
