import type { PicturePrompt } from "../../shared/prompts/numbered.ts";
import type { Env } from "../env.ts";
import { imageSizes } from "../store/images.ts";
import { IMAGE_PREFIX } from "../store/removals.ts";
import type { ChatRequest } from "./chat.ts";

/**
 * Bytes of all pictures of one question. In base64, in JSON and as a request's body they take four times as much memory, for
 * every question that is asked at once.
 */
const PICTURES_BYTES = 4_000_000;
/** Bytes turned into base64 at once; a multiple of 3. */
const BASE64_STEP = 24_576;

/** Pictures as `data:` URLs in the order of their hashes, or why there are none. */
export type Pictures = { readonly urls: readonly string[] } | { readonly problem: "missing" | "too-large" };

/** The pictures from the blob store: all of them, or none. */
export async function picturesOf(env: Pick<Env, "DB" | "BLOBS">, hashes: readonly string[]): Promise<Pictures> {
  if (hashes.length === 0) return { urls: [] };
  const stored = new Map((await imageSizes(env.DB, hashes)).map((image) => [image.sha256, image]));
  const bytes = [...stored.values()].reduce((sum, image) => sum + image.bytes, 0);
  if (bytes > PICTURES_BYTES) return { problem: "too-large" };
  const urls: string[] = [];
  for (const sha256 of hashes) {
    const image = stored.get(sha256);
    const object = image && (await env.BLOBS.get(IMAGE_PREFIX + sha256));
    if (!object) return { problem: "missing" };
    urls.push(`data:${image.mediaType};base64,${base64(new Uint8Array(await object.arrayBuffer()))}`);
  }
  return { urls };
}

/** A prompt with its pictures, numbered in their order. */
export function messagesOf({ system, user }: PicturePrompt, urls: readonly string[]): ChatRequest["messages"] {
  const pictures = urls.flatMap((url, index) => [
    { type: "text" as const, text: `Picture ${index + 1}:` },
    { type: "image_url" as const, image_url: { url } },
  ]);
  return [
    { role: "system", content: system },
    { role: "user", content: [{ type: "text", text: user }, ...pictures] },
  ];
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += BASE64_STEP) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + BASE64_STEP)));
  }
  return text;
}
