import type { z } from "zod";
import type { createKeyRequest, createKeyResponse } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { sha256Hex } from "../http/hash.ts";
import { insertKey, revokeKey } from "../store/keys.ts";

const KEY_BYTES = 32;
const CLIENT_ID_HEX_DIGITS = 32;

/**
 * Makes a key for a client, which is made too when its name is new. A client's id is the hash of its name: the same name is
 * the same client everywhere.
 */
export async function createKey(
  env: Pick<Env, "DB">,
  actor: Actor,
  request: z.output<typeof createKeyRequest>,
  nowMs: number,
): Promise<z.infer<typeof createKeyResponse>> {
  demand(actor, "admin");
  const id = crypto.randomUUID();
  const key = randomKey();
  const scopes = [...new Set(request.scopes)];
  const clientId = (await sha256Hex(request.client)).slice(0, CLIENT_ID_HEX_DIGITS);
  const client = { id: clientId, name: request.client, reportCap: request.reportCap };
  await insertKey(
    env.DB,
    { id, keySha256: await sha256Hex(key), scopes, client },
    {
      actor: actorName(actor),
      action: "key.create",
      subject: id,
      details: { client: request.client, scopes, reportCap: request.reportCap },
      at: nowMs,
    },
  );
  return { id, clientId, key, scopes };
}

/**
 * Closes a key: the next request with it is refused.
 * @throws {ApiError} `not_found`
 */
export async function closeKey(env: Pick<Env, "DB">, actor: Actor, id: string, nowMs: number): Promise<void> {
  demand(actor, "admin");
  const audit = { actor: actorName(actor), action: "key.revoke", subject: id, details: {}, at: nowMs };
  if (!(await revokeKey(env.DB, id, audit))) throw new ApiError("not_found", "There is no key with this id.");
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const base64 = btoa(String.fromCharCode(...bytes));
  return `nm_${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}
