import type { Scope } from "../../shared/contracts/common.ts";
import type { Env } from "../env.ts";

/** Who is asking. */
export type Actor =
  | {
      readonly kind: "key";
      readonly keyId: string;
      readonly clientId: string;
      readonly reportCap: number;
      readonly scopes: readonly Scope[];
    }
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
  return actor.kind === "key" ? `key:${actor.keyId}` : actor.kind;
}
