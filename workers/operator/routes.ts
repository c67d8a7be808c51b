import { Hono } from "hono";
import { label } from "../../shared/contracts/common.ts";
import { createKeyRequest, setPolicyRequest } from "../../shared/contracts/operator.ts";
import { requireScope } from "../http/auth.ts";
import { readJson } from "../http/body.ts";
import type { AppEnv } from "../http/context.ts";
import { readParam } from "../http/params.ts";
import { closeKey, createKey } from "./keys.ts";
import { getPolicy, setPolicy } from "./policy.ts";
import { getRegions, getRound, getRounds } from "./views.ts";

/** What operators call, from the console or the command line. */
export function operatorRoutes(): Hono<AppEnv> {
  const operate = requireScope("operate");
  const admin = requireScope("admin");
  return new Hono<AppEnv>()
    .post("/v1/keys", admin, async (c) => {
      const request = await readJson(c, createKeyRequest);
      return c.json(await createKey(c.env, c.get("actor"), request, Date.now()), 201);
    })
    .delete("/v1/keys/:id", admin, async (c) => {
      await closeKey(c.env, c.get("actor"), readParam(c, "id", label), Date.now());
      return c.body(null, 204);
    })
    .get("/v1/policy", operate, async (c) => c.json(await getPolicy(c.env, c.get("actor"))))
    .put("/v1/policy", operate, async (c) => {
      const request = await readJson(c, setPolicyRequest);
      return c.json(await setPolicy(c.env, c.get("actor"), request, Date.now()));
    })
    .get("/v1/regions", operate, async (c) => c.json(await getRegions(c.env, c.get("actor"))))
    .get("/v1/rounds", operate, async (c) => c.json(await getRounds(c.env, c.get("actor"))))
    .get("/v1/rounds/:id", operate, async (c) => {
      return c.json(await getRound(c.env, c.get("actor"), readParam(c, "id", label)));
    });
}
