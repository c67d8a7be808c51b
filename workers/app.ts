import { Hono } from "hono";
import type { AppEnv } from "./http/context.ts";
import { allowPages } from "./http/cors.ts";
import { mountDescription } from "./http/description.ts";
import { notFound, onError } from "./http/failure.ts";
import { mountHealth } from "./http/health.ts";
import { requestLog } from "./http/log.ts";
import { mountIngest, mountReview } from "./ingest/routes.ts";
import { mountOperator } from "./operator/routes.ts";
import { mountPairs } from "./pairs/routes.ts";
import { mountRetention } from "./retention/routes.ts";
import { mountScheduler } from "./scheduler/routes.ts";
import { mountTraining } from "./training/routes.ts";

/** The HTTP interface: every room's operations behind one door. */
export function buildApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use(requestLog);
  app.use("/v1/*", allowPages);
  mountHealth(app);
  mountDescription(app);
  mountIngest(app);
  mountReview(app);
  mountScheduler(app);
  mountPairs(app);
  mountTraining(app);
  mountOperator(app);
  mountRetention(app);
  app.notFound(notFound(app));
  app.onError(onError);
  return app;
}
