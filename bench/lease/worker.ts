import type { Env } from "../../workers/env.ts";
import { release } from "../../workers/store/leases.ts";
import { claimRound } from "../../workers/training/claim.ts";
import { counting } from "./counting.ts";
import { type Asked, type Claimed, noReads } from "./reads.ts";

/** Claims and releases inside workerd, for one trainer a request. */

export default {
  async fetch(request: Request, env: Pick<Env, "DB">): Promise<Response> {
    const { trainer, release: back } = (await request.json()) as Asked;
    const reads = noReads();
    const begun = Date.now();
    const actor = { kind: "system", scopes: ["train"] } as const;
    const claim = await claimRound({ DB: counting(env.DB, reads) }, actor, { trainer, demand: false }, begun);
    const ms = Date.now() - begun;
    const { round } = claim;
    if (round && back) {
      const holder = { roundId: round.id, leaseId: round.lease.id, fence: round.lease.fence };
      await release(env.DB, holder, Date.now(), "bench");
      // As if no round had ever held them: that is how most pairs are claimed.
      await env.DB.prepare("UPDATE pairs SET round_id = NULL WHERE round_id = ?1").bind(round.id).run();
    }
    const reason = claim.round === null ? claim.reason : null;
    return Response.json({
      round: round?.id ?? null,
      reason,
      leased: round?.batch.pairs ?? 0,
      ms,
      reads,
    } satisfies Claimed);
  },
};
