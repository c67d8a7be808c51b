import type { z } from "zod";
import { LIMITS } from "../../shared/contracts/common.ts";
import type { imageStored } from "../../shared/contracts/ingest.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { findImage, insertImage, missingImages } from "../store/images.ts";
import { readImageHeader } from "./image-header.ts";

type ImageStored = z.infer<typeof imageStored>;

/** Where an image lies in the blob store. */
function imageKey(sha256: string): string {
  return `images/${sha256}`;
}

/**
 * Stores an image under its content's hash. The bytes go first, the row after them: what has a row can be read. Sending it
 * again changes nothing.
 * @throws {ApiError} `unprocessable` for another hash or an unreadable header, `unsupported_type`, `too_large` in pixels
 */
export async function putImage(
  env: Pick<Env, "DB" | "BLOBS">,
  actor: Actor,
  sha256: string,
  bytes: Uint8Array,
  nowMs: number,
): Promise<ImageStored> {
  demand(actor, "ingest");
  if ((await sha256Hex(bytes)) !== sha256) {
    throw new ApiError("unprocessable", "The body's SHA-256 is not the one in the path.");
  }
  const { mediaType, width, height } = checkedHeader(bytes);
  const image = { sha256, mediaType, width, height, bytes: bytes.byteLength };
  if (await findImage(env.DB, sha256)) return { ...image, created: false };
  await env.BLOBS.put(imageKey(sha256), bytes, { sha256, httpMetadata: { contentType: mediaType } });
  return { ...image, created: await insertImage(env.DB, { ...image, createdAt: nowMs }) };
}

/**
 * The image's bytes as a stream, with its media type.
 * @throws {ApiError} `not_found`
 */
export async function getImage(env: Pick<Env, "DB" | "BLOBS">, actor: Actor, sha256: string) {
  demand(actor, "train", "operate");
  const [image, object] = await Promise.all([findImage(env.DB, sha256), env.BLOBS.get(imageKey(sha256))]);
  if (!image || !object) throw new ApiError("not_found", "There is no image with this hash.");
  return { body: object.body, mediaType: image.mediaType, bytes: image.bytes };
}

/** Which of these images are not stored, each once, in the order they were asked for. */
export async function listMissing(env: Pick<Env, "DB">, actor: Actor, hashes: readonly string[]): Promise<string[]> {
  demand(actor, "ingest");
  return missingImages(env.DB, [...new Set(hashes)]);
}

function checkedHeader(bytes: Uint8Array) {
  const header = readImageHeader(bytes);
  if (header.kind === "unknown") {
    throw new ApiError("unsupported_type", "The body is none of PNG, JPEG, GIF and WebP.");
  }
  if (header.kind === "damaged") {
    throw new ApiError("unprocessable", `The body begins like ${header.mediaType}, but its size cannot be read.`);
  }
  const { width, height } = header;
  if (Math.max(width, height) > LIMITS.imageSidePx || width * height > LIMITS.imagePixels) {
    const limits = `${LIMITS.imageSidePx} pixels a side and ${LIMITS.imagePixels} in all`;
    throw new ApiError("too_large", `The image is ${width} x ${height} pixels; at most ${limits} are taken.`);
  }
  return header;
}
