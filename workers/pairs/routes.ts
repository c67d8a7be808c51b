import type { Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { AppEnv } from "../http/context.ts";
import { mount } from "../http/operation.ts";
import { decidePairs } from "./move.ts";
import { getPair, getPairs } from "./views.ts";

/** What operators see of pairs, and decide about them. */
export function mountPairs(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.listPairs, (c, { query }) => getPairs(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.getPair, (c, { path }) => getPair(c.env, c.get("actor"), path.id));
  mount(app, OPERATIONS.movePairs, (c, { body }) => decidePairs(c.env, c.get("actor"), body, Date.now()));
}
