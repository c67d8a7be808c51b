import type { Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { AppEnv } from "../http/context.ts";
import { mount } from "../http/operation.ts";
import { getAudit } from "./audit.ts";
import { closeKey, createKey, listKeys, rotateKey } from "./keys.ts";
import { getMetrics } from "./metrics.ts";
import { getPolicy, getPolicyDiff, getPolicyFields, getPolicyHistory, rollbackPolicy, setPolicy } from "./policy.ts";
import { previewPolicy } from "./preview.ts";
import { getRegions, getRound, getRounds, getSpending } from "./views.ts";

/** What operators and their monitoring call, from the console or the command line. */
export function mountOperator(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.createKey, (c, { body }) => createKey(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.listKeys, (c) => listKeys(c.env, c.get("actor")));
  mount(app, OPERATIONS.rotateKey, (c, { path, body }) => rotateKey(c.env, c.get("actor"), path.id, body, Date.now()));
  mount(app, OPERATIONS.closeKey, (c, { path }) => closeKey(c.env, c.get("actor"), path.id, Date.now()));
  mount(app, OPERATIONS.getPolicy, (c) => getPolicy(c.env, c.get("actor")));
  mount(app, OPERATIONS.setPolicy, (c, { body }) => setPolicy(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.getPolicyFields, (c) => getPolicyFields(c.get("actor")));
  mount(app, OPERATIONS.previewPolicy, (c, { body }) => previewPolicy(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.getPolicyHistory, (c, { query }) => getPolicyHistory(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.getPolicyDiff, (c, { query }) => getPolicyDiff(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.rollbackPolicy, (c, { body }) => rollbackPolicy(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.getRegions, (c, { query }) => getRegions(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.getSpending, (c, { query }) => getSpending(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.getAudit, (c, { query }) => getAudit(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.getRounds, (c) => getRounds(c.env, c.get("actor")));
  mount(app, OPERATIONS.getRound, (c, { path }) => getRound(c.env, c.get("actor"), path.id));
  mount(app, OPERATIONS.getMetrics, async (c) => {
    const text = await getMetrics(c.env, c.get("actor"), Date.now());
    return c.body(text, 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  });
}
