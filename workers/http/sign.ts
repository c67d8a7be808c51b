import { sign, verify } from "hono/jwt";
import { z } from "zod";
import { sha256 } from "../../shared/contracts/common.ts";
import type { Env } from "../env.ts";
import { ApiError } from "./errors.ts";

const ISSUER = "nearmiss";
const ALGORITHM = "HS256";
/** A shorter secret could be guessed from one token, offline. */
const SECRET_CHARS_MIN = 32;
/** Longer than anything that is signed here. */
const SIGNED_CHARS_MAX = 4_096;

/** NumericDate of RFC 7519: seconds since the Unix epoch. */
const exp = z.int();

/** What is signed for whom. What was signed for one audience is nothing to another. */
const CLAIMS = {
  /** A browser that reports: the key it stands for, the model it reports on and the origin it does so from. */
  feedback: z.object({ sub: z.string(), model: z.string(), origin: z.string(), exp }),
  /** Whoever holds a link to one image. */
  image: z.object({ sub: sha256, exp }),
};
type Audience = keyof typeof CLAIMS;
type Claims<A extends Audience> = z.infer<(typeof CLAIMS)[A]>;

/**
 * Signs claims for an audience as a JSON Web Token (RFC 7519, HS256). They are readable by whoever holds it.
 * @param expiresAtMs rounded up to a second
 * @returns the token, and when it expires, ms
 * @throws {ApiError} `not_configured` without a long enough `SIGNING_SECRET`
 */
export async function signFor<A extends Audience>(
  env: Pick<Env, "SIGNING_SECRET">,
  audience: A,
  claims: Omit<Claims<A>, "exp">,
  expiresAtMs: number,
): Promise<{ signed: string; expiresAt: number }> {
  const secret = secretOf(env);
  if (!secret) {
    const message = `Set the secret SIGNING_SECRET, of at least ${SECRET_CHARS_MIN} characters, to have tokens and links.`;
    throw new ApiError("not_configured", message);
  }
  const expiresAtS = Math.ceil(expiresAtMs / 1_000);
  const signed = await sign({ ...claims, iss: ISSUER, aud: audience, exp: expiresAtS }, secret, ALGORITHM);
  return { signed, expiresAt: expiresAtS * 1_000 };
}

/** The claims that were signed here for this audience and have not expired; null for anything else. */
export async function verifyFor<A extends Audience>(
  env: Pick<Env, "SIGNING_SECRET">,
  audience: A,
  text: string,
): Promise<Claims<A> | null> {
  const secret = secretOf(env);
  if (!secret || text.length > SIGNED_CHARS_MAX) return null;
  // `verify` throws for whatever is wrong with the text, and compares signatures by `crypto.subtle.verify`: in constant time.
  const payload = await verify(text, secret, { alg: ALGORITHM, iss: ISSUER, aud: audience }).catch(() => null);
  return (CLAIMS[audience].safeParse(payload).data as Claims<A> | undefined) ?? null;
}

function secretOf(env: Pick<Env, "SIGNING_SECRET">): string | null {
  const secret = env.SIGNING_SECRET ?? "";
  return secret.length < SECRET_CHARS_MIN ? null : secret;
}
