import type { z } from "zod";
import type {
  createKeyRequest,
  createKeyResponse,
  keysResponse,
  rotateKeyRequest,
} from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand, forgetKey } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { insertKey, insertSuccessor, isKey, listKeyRows, revokeKey } from "../store/keys.ts";

const KEY_BYTES = 32;
const CLIENT_ID_HEX_DIGITS = 32;
const MINUTE_MS = 60_000;

type CreateKeyResponse = z.infer<typeof createKeyResponse>;

/**
 * Makes a key for a client, which is made too when its name is new. A client's id is the hash of its name: the same name is
 * the same client everywhere.
 * @throws {ApiError} `bad_request` for a key that has expired already
 */
export async function createKey(
  env: Pick<Env, "DB">,
  actor: Actor,
  request: z.output<typeof createKeyRequest>,
  nowMs: number,
): Promise<CreateKeyResponse> {
  demand(actor, "admin");
  const { client, reportCap, eventsPerMinute, requestsPerMinute, expiresAt = null } = request;
  if (expiresAt !== null && expiresAt <= nowMs) {
    const details = [{ path: "expiresAt", message: "must be in the future" }];
    throw new ApiError("bad_request", "The key would have expired already.", details);
  }
  const id = crypto.randomUUID();
  const key = randomKey();
  const clientId = sha256Hex(client).slice(0, CLIENT_ID_HEX_DIGITS);
  const granted = { scopes: [...new Set(request.scopes)], eventsPerMinute, requestsPerMinute, expiresAt };
  await insertKey(
    env.DB,
    { id, keySha256: sha256Hex(key), ...granted, client: { id: clientId, name: client, reportCap } },
    {
      actor: actorName(actor),
      action: "key.create",
      subject: id,
      details: { client, reportCap, ...granted },
      at: nowMs,
    },
  );
  return { id, clientId, key, scopes: granted.scopes };
}

/** Keys with their last use, live ones first, and never what would open a door. */
export async function listKeys(env: Pick<Env, "DB">, actor: Actor): Promise<z.infer<typeof keysResponse>> {
  demand(actor, "admin");
  const rows = await listKeyRows(env.DB);
  return {
    keys: rows.map(({ lastUsedMinute, ...row }) => ({
      ...row,
      lastUsedAt: lastUsedMinute === null ? null : lastUsedMinute * MINUTE_MS,
    })),
  };
}

/**
 * Replaces a key: the new one has the same client, scopes, limits and expiry; the old one works for `overlapMs` more, so that
 * its holders can change over without a pause. Two who rotate a key at once do not get a new one each.
 * @throws {ApiError} `not_found`; `conflict` for a key that is revoked, expired or rotated already
 */
export async function rotateKey(
  env: Pick<Env, "DB">,
  actor: Actor,
  id: string,
  { overlapMs }: z.output<typeof rotateKeyRequest>,
  nowMs: number,
): Promise<CreateKeyResponse> {
  demand(actor, "admin");
  const successor = crypto.randomUUID();
  const key = randomKey();
  const made = await insertSuccessor(
    env.DB,
    { id: successor, keySha256: sha256Hex(key), of: id, oldExpiresAt: nowMs + overlapMs },
    { actor: actorName(actor), action: "key.rotate", subject: id, details: { successor, overlapMs }, at: nowMs },
  );
  if (!made) {
    if (!(await isKey(env.DB, id))) throw noSuchKey();
    throw new ApiError("conflict", "This key is revoked or expired, or another one took over from it.");
  }
  forgetKey(id);
  return { id: successor, key, ...made };
}

/**
 * Closes a key: the next request with it is refused here, and everywhere within `KEY_CACHE_MS`.
 * @throws {ApiError} `not_found`
 */
export async function closeKey(env: Pick<Env, "DB">, actor: Actor, id: string, nowMs: number): Promise<void> {
  demand(actor, "admin");
  if (!(await isKey(env.DB, id))) throw noSuchKey();
  await revokeKey(env.DB, id, {
    actor: actorName(actor),
    action: "key.revoke",
    subject: id,
    details: {},
    at: nowMs,
  });
  forgetKey(id);
}

function noSuchKey(): ApiError {
  return new ApiError("not_found", "There is no key with this id.");
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const base64 = btoa(String.fromCharCode(...bytes));
  return `nm_${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}
