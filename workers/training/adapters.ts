import type { z } from "zod";
import { LIMITS } from "../../shared/contracts/common.ts";
import type { adapterStored, championResponse } from "../../shared/contracts/training.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { findAdapter, insertAdapter, moveBack, readPointers } from "../store/adapters.ts";

type Champion = z.infer<typeof championResponse>;

/** What the blob store says when the bytes do not have the hash that was promised. */
const CHECKSUM_MISMATCH = /checksum|10037/i;
/** What a stream of fixed length says when more or fewer bytes come than were announced. */
const LENGTH_MISMATCH = /FixedLengthStream|length/i;

/** Where an adapter lies in the blob store. */
function adapterKey(sha256: string): string {
  return `adapters/${sha256}`;
}

/** An adapter on its way in. */
export interface AdapterUpload {
  readonly sha256: string;
  readonly body: ReadableStream | null;
  /** The `content-length` header, in bytes. */
  readonly contentLength: string | undefined;
}

/**
 * Streams an adapter into the blob store, which checks its hash; the row comes after the bytes. Sending it again changes
 * nothing.
 * @throws {ApiError} `bad_request` without a length or for another one, `too_large`, `unprocessable` for another hash
 */
export async function putAdapter(
  env: Pick<Env, "DB" | "BLOBS">,
  actor: Actor,
  { sha256, body, contentLength }: AdapterUpload,
  now: number,
): Promise<z.infer<typeof adapterStored>> {
  demand(actor, "train");
  const bytes = lengthOf(contentLength);
  const known = await findAdapter(env.DB, sha256);
  if (known) {
    await body?.cancel();
    return { sha256, bytes: known.bytes, created: false };
  }
  if (!body) throw new ApiError("bad_request", "The request body is empty.");
  try {
    // The blob store wants to know the length of a stream beforehand.
    const fixed = new FixedLengthStream(bytes);
    const piped = body.pipeTo(fixed.writable);
    await Promise.all([env.BLOBS.put(adapterKey(sha256), fixed.readable, { sha256 }), piped]);
  } catch (error) {
    throw uploadError(error);
  }
  await insertAdapter(env.DB, sha256, bytes, now);
  return { sha256, bytes, created: true };
}

/**
 * The adapter's bytes as a stream.
 * @throws {ApiError} `not_found`
 */
export async function getAdapter(env: Pick<Env, "DB" | "BLOBS">, actor: Actor, sha256: string) {
  demand(actor, "ingest", "train");
  const known = await findAdapter(env.DB, sha256);
  const object = known && (await env.BLOBS.get(adapterKey(sha256)));
  if (!object) throw new ApiError("not_found", "There is no adapter with this hash.");
  return { body: object.body, bytes: object.size };
}

/** The adapter that clients should run; null is the base model. */
export async function getChampion(env: Pick<Env, "DB">, actor: Actor): Promise<Champion> {
  demand(actor, "ingest", "train");
  return champion(env.DB);
}

/**
 * Takes the champion back to the adapter that it replaced.
 * @throws {ApiError} `conflict` when there is none, or when the champion moved at this very moment
 */
export async function rollBack(env: Pick<Env, "DB">, actor: Actor, now: number): Promise<Champion> {
  demand(actor, "operate");
  const pointers = await readPointers(env.DB);
  if (!pointers.previousSet) throw new ApiError("conflict", "There is no earlier champion to go back to.");
  const moved = await moveBack(env.DB, pointers, {
    actor: actorName(actor),
    action: "adapter.rolled-back",
    subject: pointers.champion ?? "base",
    details: { champion: pointers.previous },
    at: now,
  });
  if (!moved) throw new ApiError("conflict", "The champion has just changed. Look again before rolling back.");
  return champion(env.DB);
}

async function champion(db: D1Database): Promise<Champion> {
  const { champion: adapter, previous, roundId, updatedAt } = await readPointers(db);
  return { adapter, previous, roundId, updatedAt };
}

function lengthOf(contentLength: string | undefined): number {
  if (contentLength === undefined || !/^\d{1,15}$/.test(contentLength)) {
    throw new ApiError("bad_request", "An adapter is sent with its length in the header content-length.");
  }
  const bytes = Number(contentLength);
  if (bytes > LIMITS.adapterBytes) {
    throw new ApiError("too_large", `The adapter is larger than ${LIMITS.adapterBytes} bytes.`);
  }
  if (bytes === 0) throw new ApiError("bad_request", "The request body is empty.");
  return bytes;
}

function uploadError(error: unknown): unknown {
  const message = error instanceof Error ? error.message : "";
  if (CHECKSUM_MISMATCH.test(message)) {
    return new ApiError("unprocessable", "The body's SHA-256 is not the one in the path.");
  }
  if (LENGTH_MISMATCH.test(message)) {
    return new ApiError("bad_request", "The body is not as long as the header content-length says.");
  }
  return error;
}
