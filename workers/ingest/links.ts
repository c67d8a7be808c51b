import type { z } from "zod";
import type { createLinkRequest, createLinkResponse } from "../../shared/contracts/ingest.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { signFor } from "../http/sign.ts";

/**
 * Makes a link that opens one image to whoever holds it, until it expires: for a page or a program that has no key. It does
 * not ask whether the image is here.
 * @param base of the link: any URL of this Worker
 * @throws {ApiError} `not_configured` without `SIGNING_SECRET`
 */
export async function makeLink(
  env: Pick<Env, "SIGNING_SECRET">,
  actor: Actor,
  { sha256, ttlMs }: z.output<typeof createLinkRequest>,
  base: string,
  nowMs: number,
): Promise<z.infer<typeof createLinkResponse>> {
  demand(actor, "train", "operate");
  const { signed, expiresAt } = await signFor(env, "image", { sub: sha256 }, nowMs + ttlMs);
  return { url: new URL(`/v1/images/${sha256}?link=${signed}`, base).href, expiresAt };
}
