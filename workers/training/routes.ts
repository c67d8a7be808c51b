import { Hono } from "hono";
import type { z } from "zod";
import { sha256 } from "../../shared/contracts/common.ts";
import {
  claimRequest,
  type claimResponse,
  completeRequest,
  heartbeatRequest,
  releaseRequest,
  reportsRequest,
} from "../../shared/contracts/training.ts";
import { requireScope } from "../http/auth.ts";
import { readJson } from "../http/body.ts";
import type { AppEnv } from "../http/context.ts";
import { readParam } from "../http/params.ts";
import { getAdapter, getChampion, putAdapter, rollBack } from "./adapters.ts";
import { claimRound } from "./claim.ts";
import { completeRound } from "./complete.ts";
import { holderOf } from "./holder.ts";
import { gatePage, ndjson, pageRequest, pairsPage } from "./pages.ts";
import { beat, releaseRound, storeReports } from "./reports.ts";

/** What a training run calls, and where clients find the adapter to run. */
export function trainingRoutes(): Hono<AppEnv> {
  return new Hono<AppEnv>().route("/v1/rounds", roundRoutes()).route("/v1/adapters", adapterRoutes());
}

function roundRoutes(): Hono<AppEnv> {
  const train = requireScope("train");
  return new Hono<AppEnv>()
    .post("/", train, async (c) => {
      const { trainer } = await readJson(c, claimRequest);
      const claim = await claimRound(c.env, c.get("actor"), trainer, Date.now());
      c.get("log").pairs = claim.round?.batch.pairs ?? 0;
      return c.json(claim satisfies z.infer<typeof claimResponse>);
    })
    .get("/:id/pairs", train, async (c) => {
      const page = pageRequest(c.req.query());
      return ndjson(await pairsPage(c.env, c.get("actor"), holderOf(c), page, Date.now()));
    })
    .get("/:id/gate", train, async (c) => {
      const page = pageRequest(c.req.query());
      return ndjson(await gatePage(c.env, c.get("actor"), holderOf(c), page, Date.now()));
    })
    .post("/:id/heartbeat", train, async (c) => {
      const progress = await readJson(c, heartbeatRequest);
      return c.json(await beat(c.env, c.get("actor"), holderOf(c), progress, Date.now()));
    })
    .post("/:id/reports", train, async (c) => {
      const request = await readJson(c, reportsRequest);
      return c.json(await storeReports(c.env, c.get("actor"), holderOf(c), request, Date.now()));
    })
    .post("/:id/complete", train, async (c) => {
      const request = await readJson(c, completeRequest);
      const completed = await completeRound(c.env, c.get("actor"), holderOf(c), request, Date.now());
      c.get("log").verdict = completed.verdict;
      return c.json(completed);
    })
    .post("/:id/release", train, async (c) => {
      const { reason } = await readJson(c, releaseRequest);
      await releaseRound(c.env, c.get("actor"), holderOf(c), reason, Date.now());
      return c.body(null, 204);
    });
}

function adapterRoutes(): Hono<AppEnv> {
  const read = requireScope("ingest", "train");
  return new Hono<AppEnv>()
    .get("/champion", read, async (c) => c.json(await getChampion(c.env, c.get("actor"))))
    .post("/rollback", requireScope("operate"), async (c) => c.json(await rollBack(c.env, c.get("actor"), Date.now())))
    .put("/:sha256", requireScope("train"), async (c) => {
      const upload = {
        sha256: readParam(c, "sha256", sha256),
        body: c.req.raw.body,
        contentLength: c.req.header("content-length"),
      };
      const stored = await putAdapter(c.env, c.get("actor"), upload, Date.now());
      return c.json(stored, stored.created ? 201 : 200);
    })
    .get("/:sha256", read, async (c) => {
      const adapter = await getAdapter(c.env, c.get("actor"), readParam(c, "sha256", sha256));
      return c.body(adapter.body, 200, {
        "content-type": "application/octet-stream",
        "content-length": String(adapter.bytes),
        "x-content-type-options": "nosniff",
        "cache-control": "private, max-age=31536000, immutable",
      });
    });
}
