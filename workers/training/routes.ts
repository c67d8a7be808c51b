import type { Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import { FENCE_HEADER, LEASE_HEADER } from "../../shared/contracts/training.ts";
import type { AppEnv } from "../http/context.ts";
import { mount } from "../http/operation.ts";
import type { Holder } from "../store/leases.ts";
import { getAdapter, getChampion, putAdapter, rollBack } from "./adapters.ts";
import { claimRound } from "./claim.ts";
import { completeRound } from "./complete.ts";
import { gatePage, ndjson, pairsPage } from "./pages.ts";
import { beat, releaseRound, storeReports } from "./reports.ts";

/** What a training run calls, and where clients find the adapter to run. */
export function mountTraining(app: Hono<AppEnv>): void {
  mountRounds(app);
  mountAdapters(app);
}

function mountRounds(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.claimRound, async (c, { body }) => {
    const claim = await claimRound(c.env, c.get("actor"), body, Date.now());
    c.get("log").pairs = claim.round?.batch.pairs ?? 0;
    return claim;
  });
  mount(app, OPERATIONS.getBatch, async (c, given) =>
    ndjson(await pairsPage(c.env, c.get("actor"), holderOf(given), given.query, Date.now())),
  );
  mount(app, OPERATIONS.getGate, async (c, given) =>
    ndjson(await gatePage(c.env, c.get("actor"), holderOf(given), given.query, Date.now())),
  );
  mount(app, OPERATIONS.heartbeat, (c, given) => beat(c.env, c.get("actor"), holderOf(given), given.body, Date.now()));
  mount(app, OPERATIONS.reportPairs, (c, given) =>
    storeReports(c.env, c.get("actor"), holderOf(given), given.body, Date.now()),
  );
  mount(app, OPERATIONS.completeRound, async (c, given) => {
    const completed = await completeRound(c.env, c.get("actor"), holderOf(given), given.body, Date.now());
    c.get("log").verdict = completed.verdict;
    return completed;
  });
  mount(app, OPERATIONS.releaseRound, (c, given) =>
    releaseRound(c.env, c.get("actor"), holderOf(given), given.body.reason, Date.now()),
  );
}

function mountAdapters(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.getChampion, (c) => getChampion(c.env, c.get("actor")));
  mount(app, OPERATIONS.rollBack, (c) => rollBack(c.env, c.get("actor"), Date.now()));
  mount(app, OPERATIONS.putAdapter, (c, { path }) => {
    const upload = { ...path, body: c.req.raw.body, contentLength: c.req.header("content-length") };
    return putAdapter(c.env, c.get("actor"), upload, Date.now());
  });
  mount(app, OPERATIONS.getAdapter, async (c, { path }) => {
    const adapter = await getAdapter(c.env, c.get("actor"), path.sha256);
    return c.body(adapter.body, 200, {
      "content-type": "application/octet-stream",
      "content-length": String(adapter.bytes),
      "x-content-type-options": "nosniff",
      "cache-control": "private, max-age=31536000, immutable",
    });
  });
}

interface OnRound {
  readonly path: { readonly id: string };
  readonly headers: { readonly [LEASE_HEADER]: string; readonly [FENCE_HEADER]: number };
}

/** Who the request says holds the round of its path. Whether that is still so is decided where the request writes. */
function holderOf({ path, headers }: OnRound): Holder {
  return { roundId: path.id, leaseId: headers[LEASE_HEADER], fence: headers[FENCE_HEADER] };
}
