import { join } from "node:path";
import { serveBare } from "../../scripts/edge/bare.ts";
import { bundleWorker } from "../../scripts/edge/bundle.ts";
import { answerMessages } from "../../scripts/edge/group.ts";
import { RAW_CLIENT } from "./raw-insert.ts";
import type { Place } from "./servers.ts";

/** Serves `raw-worker.ts` in workerd, with a D1 of its own. */
let bare: Awaited<ReturnType<typeof serveBare>> | undefined;

async function start({ root, state }: Place): Promise<{ url: string }> {
  const contents = await bundleWorker(join(import.meta.dirname, "raw-worker.ts"), false);
  bare = await serveBare({ root, state: join(state, "raw"), contents });
  await bare.db.exec(RAW_CLIENT);
  return { url: bare.url };
}

answerMessages(start, async () => bare?.miniflare.dispose());
