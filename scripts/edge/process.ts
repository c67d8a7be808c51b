import { join } from "node:path";
import { ProcessGroup } from "./group.ts";
import type { EdgeOptions } from "./serve.ts";

/** ms */
export interface CronMessage {
  readonly cronAt: number;
}

/** An edge in processes of its own, so that it can be killed, and shares no thread with whoever asks it. */
export interface EdgeProcess {
  readonly url: string;
  /** What Cloudflare's cron does in production. */
  cron(at: Date): Promise<void>;
  /** Ends the server and workerd at once, whatever they are doing. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** Starts an edge; its temporary files lie in the state folder too. */
export async function startEdgeProcess(options: EdgeOptions): Promise<EdgeProcess> {
  const group = new ProcessGroup(join(import.meta.dirname, "child.ts"), options.state);
  const { url } = await group.ask<{ url: string }>(options);
  return {
    url,
    cron: async (at) => {
      await group.ask({ cronAt: at.getTime() } satisfies CronMessage);
    },
    kill: () => group.kill(),
    close: () => group.close(),
  };
}
