import type { z } from "zod";
import type {
  regionsQuery,
  regionsResponse,
  roundRow,
  roundsResponse,
  spendingQuery,
  spendingResponse,
} from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { currentPolicy } from "../store/policy.ts";
import { listRegions } from "../store/regions.ts";
import { findRound, listRounds } from "../store/round-views.ts";
import { listSpending } from "../store/spending.ts";

/** What the loop knows and did, for people and the console. Nothing here changes anything. */

export async function getRegions(
  env: Pick<Env, "DB">,
  actor: Actor,
  query: z.output<typeof regionsQuery>,
): Promise<z.infer<typeof regionsResponse>> {
  demand(actor, "operate");
  const { document } = await currentPolicy(env.DB);
  return listRegions(env.DB, query, document);
}

/** What models used and cost on the days on which they were asked, with the limits of a day. */
export async function getSpending(
  env: Pick<Env, "DB">,
  actor: Actor,
  { days }: z.output<typeof spendingQuery>,
): Promise<z.infer<typeof spendingResponse>> {
  demand(actor, "operate");
  const { tokensPerDay, microsPerDay } = (await currentPolicy(env.DB)).document.spending;
  return { limits: { tokensPerDay, microsPerDay }, days: await listSpending(env.DB, days) };
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
