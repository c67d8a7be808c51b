import { answerMessages } from "./group.ts";
import type { CronMessage } from "./process.ts";
import { type Edge, type EdgeOptions, serveEdge } from "./serve.ts";

/** The edge as a program: the first message starts it, later ones fire its cron. */
let edge: Edge | undefined;

answerMessages(
  async (message: EdgeOptions | CronMessage) => {
    if ("cronAt" in message) {
      await edge?.cron(new Date(message.cronAt));
      return {};
    }
    edge = await serveEdge(message);
    return { url: edge.url };
  },
  async () => edge?.close(),
);
