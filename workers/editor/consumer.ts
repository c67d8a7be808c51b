import { z } from "zod";
import type { EditMessage, Env } from "../env.ts";
import { describeError, logEvent } from "../http/log.ts";
import { type ChatModel, chatModel } from "../model/chat.ts";
import type { Switch } from "../model/health.ts";
import { paid } from "../model/paid.ts";
import { Purse } from "../model/purse.ts";
import { finishJobs, queuedJobs } from "../store/jobs.ts";
import { currentPolicy } from "../store/policy.ts";
import { editJobs } from "./edit.ts";
import { modelEditor } from "./model.ts";

const message = z.object({ jobs: z.array(z.string()) });

export type EditorEnv = Pick<Env, "DB" | "EDITOR_BASE_URL" | "EDITOR_MODEL" | "EDITOR_API_KEY">;

/**
 * Does the edit jobs that the messages name. A message whose jobs are done is acknowledged, also when it names jobs that nobody
 * knows; one that met a broken database comes again. Doing a message twice is the same as once.
 * @param fetcher how the configured model is reached
 */
export async function onEditMessages(
  batch: MessageBatch<EditMessage>,
  env: EditorEnv,
  fetcher: typeof fetch = fetch,
): Promise<void> {
  const { EDITOR_BASE_URL: baseURL, EDITOR_MODEL: model, EDITOR_API_KEY: apiKey } = env;
  const chat = chatModel({ baseURL, model, apiKey }, fetcher);
  for (const wake of batch.messages) {
    try {
      await editMessage(env.DB, wake.body, chat);
      wake.ack();
    } catch (error) {
      logEvent("edit-message-failed", { message: wake.id, attempts: wake.attempts, ...describeError(error) });
      wake.retry();
    }
  }
}

async function editMessage(db: D1Database, body: unknown, chat: ChatModel | null): Promise<void> {
  const parsed = message.safeParse(body);
  if (!parsed.success) return logEvent("edit-message-unreadable", {});
  const jobs = await queuedJobs(db, parsed.data.jobs);
  if (jobs.length === 0) return;
  const { document } = await currentPolicy(db);
  const purse = new Purse(db, document.spending);
  try {
    const { results, switched, unpaid } = await editJobs(jobs, chat && modelEditor(paid(chat, purse)), document);
    const now = Date.now();
    await finishJobs(db, results, now, switched && toAudit(switched, now));
    logEvent("edited", {
      asked: parsed.data.jobs.length,
      accepted: results.filter(({ state }) => state === "accepted").length,
      refused: results.filter(({ state }) => state === "refused").length,
      failed: results.filter(({ state }) => state === "failed").length,
      switched: switched?.reason ?? (unpaid > 0 ? "budget" : null),
      unpaid,
    });
  } finally {
    await purse.close();
  }
}

function toAudit(switched: Switch, at: number) {
  const { model, reason, failures } = switched;
  return {
    actor: "system",
    action: "editor.switched",
    subject: model,
    details: { to: "builtin", reason, failures },
    at,
  };
}
