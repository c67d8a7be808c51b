import type { Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { AppEnv } from "../http/context.ts";
import { mount } from "../http/operation.ts";
import { getErasure, listErasures, requestErasure } from "./requests.ts";

/** Deletion on somebody's request. */
export function mountRetention(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.requestErasure, (c, { body }) => requestErasure(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.listErasures, async (c) => ({ erasures: await listErasures(c.env, c.get("actor")) }));
  mount(app, OPERATIONS.getErasure, (c, { path }) => getErasure(c.env, c.get("actor"), path.id));
}
