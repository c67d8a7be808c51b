import type { z } from "zod";
import type { regionsResponse, roundRow, roundsResponse } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { listRegions } from "../store/regions.ts";
import { findRound, listRounds } from "../store/round-views.ts";

/** What the loop knows and did, for people and the console. Nothing here changes anything. */

export async function getRegions(env: Pick<Env, "DB">, actor: Actor): Promise<z.infer<typeof regionsResponse>> {
  demand(actor, "operate");
  return { regions: await listRegions(env.DB) };
}

/** The newest rounds first. */
export async function getRounds(env: Pick<Env, "DB">, actor: Actor): Promise<z.infer<typeof roundsResponse>> {
  demand(actor, "operate");
  return { rounds: await listRounds(env.DB) };
}

/** @throws {ApiError} `not_found` */
export async function getRound(env: Pick<Env, "DB">, actor: Actor, id: string): Promise<z.infer<typeof roundRow>> {
  demand(actor, "operate");
  const round = await findRound(env.DB, id);
  if (!round) throw new ApiError("not_found", "There is no round with this id.");
  return round;
}
