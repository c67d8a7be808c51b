import { Hono } from "hono";
import { authenticate } from "./http/auth.ts";
import type { AppEnv } from "./http/context.ts";
import { notFound, onError } from "./http/failure.ts";
import { health } from "./http/health.ts";
import { requestLog } from "./http/log.ts";
import { ingestRoutes } from "./ingest/routes.ts";
import { operatorRoutes } from "./operator/routes.ts";
import { schedulerRoutes } from "./scheduler/routes.ts";
import { trainingRoutes } from "./training/routes.ts";

/** The HTTP interface: every room's routes behind one door. */
export function buildApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use(requestLog);
  app.use("/v1/*", authenticate);
  app.get("/healthz", health);
  app.route("/", ingestRoutes());
  app.route("/", schedulerRoutes());
  app.route("/", trainingRoutes());
  app.route("/", operatorRoutes());
  app.notFound(notFound(app));
  app.onError(onError);
  return app;
}
