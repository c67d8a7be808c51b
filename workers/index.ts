import { buildApp } from "./app.ts";
import { onEditMessages } from "./editor/consumer.ts";
import type { EditMessage, Env } from "./env.ts";
import { onCron } from "./scheduler/cron.ts";

const app = buildApp();

export default {
  fetch: app.fetch,
  queue: (batch, env) => onEditMessages(batch, env),
  scheduled: (event, env) => onCron(env, event.scheduledTime),
} satisfies ExportedHandler<Env, EditMessage>;
