import type { z } from "zod";
import type { pairDetail, pairRow, pairsQuery, pairsResponse } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import { findPair, listPairs, type PairView } from "../store/pair-views.ts";

/** A page of pairs, by id. */
export async function getPairs(
  env: Pick<Env, "DB">,
  actor: Actor,
  { state, region, after = "", limit }: z.output<typeof pairsQuery>,
): Promise<z.infer<typeof pairsResponse>> {
  demand(actor, "operate");
  const rows = await listPairs(env.DB, { state, region }, { after, limit: limit + 1 });
  const pairs = rows.slice(0, limit).flatMap(viewOf);
  return { pairs, next: rows.length > pairs.length ? (pairs.at(-1)?.id ?? null) : null };
}

/** @throws {ApiError} `not_found` */
export async function getPair(env: Pick<Env, "DB">, actor: Actor, id: string): Promise<z.infer<typeof pairDetail>> {
  demand(actor, "operate");
  const found = await findPair(env.DB, id);
  const [view] = found ? viewOf(found.pair) : [];
  if (!found || !view) throw new ApiError("not_found", "There is no pair with this id.");
  const { sourceId, failureId, jobId, tickId } = found.pair;
  return { ...view, sourceId, failureId, jobId, tickId, scores: [...found.scores], rechecks: [...found.rechecks] };
}

function viewOf<View extends PairView>({ conversation, sentinel, ...pair }: View): z.infer<typeof pairRow>[] {
  if (conversation === null) return [];
  return [{ ...pair, sentinel: sentinel === 1, conversation: JSON.parse(conversation) }];
}
