import type { z } from "zod";
import type { ErrorCode } from "../../shared/contracts/common.ts";
import type { imageStored } from "../../shared/contracts/ingest.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { findImage, insertImage, missingImages } from "../store/images.ts";
import { imageRemoval } from "../store/removals.ts";
import { checkImage, type RefusalKind } from "./image-check/index.ts";

type ImageStored = z.infer<typeof imageStored>;

const REFUSAL_CODES: Readonly<Record<RefusalKind, ErrorCode>> = {
  unsupported: "unsupported_type",
  damaged: "unprocessable",
  "too-large": "too_large",
};

/** Where an image lies in the blob store. */
function imageKey(sha256: string): string {
  return `images/${sha256}`;
}

/**
 * Stores an image under its content's hash, once, whoever sends it at the same time or again. The bytes go first, the row
 * after them: what has a row can be read. Bytes that got lost are stored anew.
 * @throws {ApiError} `unprocessable` for another hash or a damaged image, `unsupported_type`, `too_large` once it is unpacked;
 *   `overloaded` while the image is being deleted
 */
export async function putImage(
  env: Pick<Env, "DB" | "BLOBS">,
  actor: Actor,
  sha256: string,
  bytes: Uint8Array,
  nowMs: number,
): Promise<ImageStored> {
  demand(actor, "feedback", "ingest");
  if (sha256Hex(bytes) !== sha256) {
    throw new ApiError("unprocessable", "The body's SHA-256 is not the one in the path.");
  }
  const image = { sha256, ...checked(bytes), bytes: bytes.byteLength };
  // Once it is noted as wanted, nothing sweeps it away: only then is it worth looking for its bytes.
  const isKnown = (await missingImages(env.DB, [sha256], nowMs)).length === 0;
  const removal = isKnown ? null : await imageRemoval(env.DB, sha256);
  if (removal?.done === 0) throw beingDeleted();
  if (!(await env.BLOBS.head(imageKey(sha256)))) {
    await env.BLOBS.put(imageKey(sha256), bytes, { sha256, httpMetadata: { contentType: image.mediaType } });
  }
  if (isKnown) return { ...image, created: false };
  const stored = await insertImage(env.DB, { ...image, createdAt: nowMs }, removal?.begunAt ?? null);
  if (stored === "refused") throw beingDeleted();
  return { ...image, created: stored === "created" };
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

/** Which of these images are not stored, each once, in the order they were asked for. The others are kept: an event needs them. */
export async function listMissing(
  env: Pick<Env, "DB">,
  actor: Actor,
  hashes: readonly string[],
  nowMs: number,
): Promise<string[]> {
  demand(actor, "feedback", "ingest");
  return missingImages(env.DB, [...new Set(hashes)], nowMs);
}

function beingDeleted(): ApiError {
  return new ApiError("overloaded", "This image is being deleted. The same request may be sent again.");
}

function checked(bytes: Uint8Array) {
  const check = checkImage(bytes);
  if (check.kind !== "image") throw new ApiError(REFUSAL_CODES[check.kind], check.reason);
  return { mediaType: check.mediaType, width: check.width, height: check.height };
}
