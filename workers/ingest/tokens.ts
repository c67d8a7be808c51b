import type { z } from "zod";
import type { createTokenRequest, createTokenResponse } from "../../shared/contracts/ingest.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { signFor } from "../http/sign.ts";

/**
 * Makes a token that a client may hand to a browser: it reports on one model from one origin, in the name and within the
 * limits of the key, until it expires or the key does.
 * @throws {ApiError} `bad_request` for an origin that no browser sends, `not_configured` without `SIGNING_SECRET`
 */
export async function makeToken(
  env: Pick<Env, "SIGNING_SECRET">,
  actor: Actor,
  request: z.output<typeof createTokenRequest>,
  nowMs: number,
): Promise<z.infer<typeof createTokenResponse>> {
  demand(actor, "ingest");
  if (actor.kind !== "key") throw new ApiError("forbidden", "A token stands for a client's key: make it with one.");
  const claims = { sub: actor.keyId, model: request.model, origin: asBrowsersSend(request.origin) };
  const { signed, expiresAt } = await signFor(env, "feedback", claims, nowMs + request.ttlMs);
  return { token: `nmt_${signed}`, expiresAt };
}

/** In lower case, the host in ASCII and without the scheme's own port, as the header `origin` has it. */
function asBrowsersSend(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && url.pathname === "/" && url.username === "") return url.origin;
  const details = [{ path: "origin", message: "must be an origin: scheme, host and port" }];
  throw new ApiError("bad_request", "The origin is not valid.", details);
}
