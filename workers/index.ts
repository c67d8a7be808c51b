import { buildApp } from "./app.ts";
import { onEditMessages } from "./editor/consumer.ts";
import type { EditMessage, Env, IntakeMessage } from "./env.ts";
import { onIntakeMessages } from "./ingest/overflow.ts";
import { onCron } from "./scheduler/cron.ts";

export { Intake } from "./ingest/intake.ts";

const app = buildApp();

/** Its name in wrangler.toml. */
const INTAKE_QUEUE = "nearmiss-intake";

export default {
  fetch: app.fetch,
  queue: (batch, env) =>
    batch.queue === INTAKE_QUEUE
      ? onIntakeMessages(batch as MessageBatch<IntakeMessage>, env)
      : onEditMessages(batch as MessageBatch<EditMessage>, env),
  scheduled: (event, env) => onCron(env, event.scheduledTime),
} satisfies ExportedHandler<Env, EditMessage | IntakeMessage>;
