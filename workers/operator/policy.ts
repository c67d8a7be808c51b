import type { z } from "zod";
import type { policyResponse, setPolicyRequest } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { appendPolicy, currentPolicy } from "../store/policy.ts";

type Policy = z.infer<typeof policyResponse>;

export async function getPolicy(env: Pick<Env, "DB">, actor: Actor): Promise<Policy> {
  demand(actor, "operate");
  return currentPolicy(env.DB);
}

/**
 * Makes the document the next version. The version it was edited from must still be the newest.
 * @throws {ApiError} `conflict`
 */
export async function setPolicy(
  env: Pick<Env, "DB">,
  actor: Actor,
  request: z.output<typeof setPolicyRequest>,
  nowMs: number,
): Promise<Policy> {
  demand(actor, "operate");
  const current = await currentPolicy(env.DB);
  if (current.version !== request.version) throw staleVersion(request.version);
  const author = actorName(actor);
  const next: Policy = {
    version: current.version + 1,
    document: request.document,
    createdAt: nowMs,
    author,
    reason: request.reason,
  };
  const appended = await appendPolicy(env.DB, next, {
    actor: author,
    action: "policy.set",
    subject: String(next.version),
    details: { from: current.version, reason: request.reason },
    at: nowMs,
  });
  if (!appended) throw staleVersion(request.version);
  return next;
}

function staleVersion(version: number): ApiError {
  return new ApiError("conflict", `Version ${version} is not the newest policy. Read it again and repeat the edit.`);
}
