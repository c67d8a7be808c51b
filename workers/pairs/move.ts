import type { z } from "zod";
import type { movePairsRequest, movePairsResponse } from "../../shared/contracts/operator.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import { type Actor, actorName } from "../http/context.ts";
import { type MovedPair, movePairs } from "../store/pair-moves.ts";

/**
 * Doubts, restores or rejects pairs by an operator's word. What cannot be moved stays as it is, and is told with the reason; so the
 * same request again moves nothing.
 */
export async function decidePairs(
  env: Pick<Env, "DB">,
  actor: Actor,
  { ids, to, reason }: z.output<typeof movePairsRequest>,
  now: number,
): Promise<z.infer<typeof movePairsResponse>> {
  demand(actor, "operate");
  const wanted = [...new Set(ids)];
  const found = await movePairs(env.DB, wanted, to, reason, { actor: actorName(actor), at: now });
  const known = new Map(found.map((pair) => [pair.id, pair]));
  return {
    moved: wanted.filter((id) => known.get(id)?.moved === 1),
    skipped: wanted.flatMap((id) => {
      const pair = known.get(id);
      return pair?.moved === 1 ? [] : [{ id, why: whyNot(pair) }];
    }),
  };
}

function whyNot(pair: MovedPair | undefined): string {
  if (!pair) return "there is no pair with this id";
  if (pair.sentinel === 1) return "it is a sentinel";
  return pair.state === "leased" ? "a round holds it" : `it is ${pair.state}`;
}
