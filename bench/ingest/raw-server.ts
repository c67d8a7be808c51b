import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { bundleWorker } from "../../scripts/edge/bundle.ts";
import { answerMessages } from "../../scripts/edge/group.ts";
import { migrate } from "../../scripts/edge/migrate.ts";
import { RAW_CLIENT } from "./raw-insert.ts";
import type { Place } from "./servers.ts";

/** Serves `raw-worker.ts` in workerd, with a D1 of its own. */
let miniflare: Miniflare | undefined;

async function start({ root, state }: Place): Promise<{ url: string }> {
  const contents = await bundleWorker(join(import.meta.dirname, "raw-worker.ts"), false);
  const options = {
    host: "127.0.0.1",
    port: 0,
    cf: false,
    resourcePersistencePath: join(state, "raw"),
    workers: [
      {
        name: "raw",
        compatibilityDate: "2026-10-01",
        modules: [{ type: "ESModule", path: "index.js", contents }],
        d1Databases: { DB: "raw" },
      },
    ],
  };
  miniflare = new Miniflare(
    convertV4MiniflareOptions(options as unknown as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  const { origin } = await miniflare.ready;
  const db = await miniflare.getD1Database("DB");
  await migrate(db as unknown as Parameters<typeof migrate>[0], join(root, "migrations"));
  await db.exec(RAW_CLIENT);
  return { url: origin };
}

answerMessages(start, async () => miniflare?.dispose());
