import type { Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { AppEnv } from "../http/context.ts";
import { mount } from "../http/operation.ts";
import { demandTick, explainTick, getTick, getTickJobs, getTickRecord, getTicks } from "./views.ts";

/** Plans on demand, and what came of them. */
export function mountScheduler(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.runTick, async (c, { body }) => {
    const tick = await demandTick(c.env, c.get("actor"), body, Date.now());
    Object.assign(c.get("log"), { tick: tick.id, created: tick.created, jobs: tick.jobs });
    return tick;
  });
  mount(app, OPERATIONS.getTicks, (c, { query }) => getTicks(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.getTick, (c, { path }) => getTick(c.env, c.get("actor"), path.id));
  mount(app, OPERATIONS.getTickJobs, (c, { path }) => getTickJobs(c.env, c.get("actor"), path.id));
  mount(app, OPERATIONS.explainTick, (c, { path, query }) => explainTick(c.env, c.get("actor"), path.id, query));
  mount(app, OPERATIONS.getTickRecord, (c, { path }) => getTickRecord(c.env, c.get("actor"), path.id));
}
