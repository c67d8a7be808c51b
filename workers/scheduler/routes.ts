import { Hono } from "hono";
import { z } from "zod";
import { tickRequest } from "../../shared/contracts/operator.ts";
import { requireScope } from "../http/auth.ts";
import { readJson } from "../http/body.ts";
import type { AppEnv } from "../http/context.ts";
import { readParam } from "../http/params.ts";
import { demandTick, getTick, getTickJobs } from "./views.ts";

const tickId = z
  .string()
  .regex(/^[1-9]\d{0,14}$/, "must be the number of a tick")
  .transform(Number);

/** Plans on demand, and what came of them. */
export function schedulerRoutes(): Hono<AppEnv> {
  const operate = requireScope("operate");
  return new Hono<AppEnv>()
    .post("/v1/ticks", operate, async (c) => {
      const tick = await demandTick(c.env, c.get("actor"), await readJson(c, tickRequest), Date.now());
      Object.assign(c.get("log"), { tick: tick.id, created: tick.created, jobs: tick.jobs });
      return c.json(tick, tick.created ? 201 : 200);
    })
    .get("/v1/ticks/:id", operate, async (c) => {
      return c.json(await getTick(c.env, c.get("actor"), readParam(c, "id", tickId)));
    })
    .get("/v1/ticks/:id/jobs", operate, async (c) => {
      return c.json(await getTickJobs(c.env, c.get("actor"), readParam(c, "id", tickId)));
    });
}
