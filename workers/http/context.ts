import type { Scope } from "../../shared/contracts/common.ts";
import type { Env } from "../env.ts";

/** What a key's client may do, and how much of it. */
interface Client {
  readonly keyId: string;
  readonly clientId: string;
  /** Reports that count per region and tick. */
  readonly reportCap: number;
  readonly eventsPerMinute: number;
  readonly requestsPerMinute: number;
  readonly scopes: readonly Scope[];
}
export interface KeyActor extends Client {
  readonly kind: "key";
}
/** Somebody with a browser token: it stands for the key that made it, for one model and one origin only. */
export interface TokenActor extends Client {
  readonly kind: "token";
  readonly model: string;
  readonly origin: string;
}

/** Whoever holds a signed link. It is let in to the one read that the link is for, so its scope reaches nothing else. */
export interface LinkActor {
  readonly kind: "link";
  readonly scopes: readonly ["train"];
}

/** Who is asking. */
export type Actor =
  | KeyActor
  | TokenActor
  | LinkActor
  | { readonly kind: "bootstrap"; readonly scopes: readonly Scope[] }
  | { readonly kind: "system"; readonly scopes: readonly Scope[] };

/** What a room adds to the request's one log event: counts and states, never texts or keys. */
export type LogFields = Record<string, string | number | boolean | null>;

/** Hono's environment for every route: `c.env`, `c.get("actor")`, `c.get("requestId")`, `c.get("log")`. */
export interface AppEnv {
  Bindings: Env;
  Variables: { actor: Actor; requestId: string; log: LogFields };
}

/** How the actor is named in the audit log. */
export function actorName(actor: Actor): string {
  return actor.kind === "key" || actor.kind === "token" ? `${actor.kind}:${actor.keyId}` : actor.kind;
}
