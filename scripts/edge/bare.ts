import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { migrate } from "./migrate.ts";

export interface BareOptions {
  /** The project's folder. */
  readonly root: string;
  /** Where D1 and R2 live. */
  readonly state: string;
  /** The Worker's module. */
  readonly contents: string;
}

/** A Worker of one module in workerd with a D1 and an R2 of its own, its database migrated, and nothing of wrangler.toml. */
export async function serveBare({ root, state, contents }: BareOptions) {
  const worker = {
    name: "bare",
    compatibilityDate: "2026-10-01",
    compatibilityFlags: ["nodejs_compat"],
    modules: [{ type: "ESModule", path: "index.js", contents }],
    d1Databases: { DB: "bare" },
    r2Buckets: { BLOBS: "bare" },
  };
  const options = {
    host: "127.0.0.1",
    port: 0,
    cf: false,
    handleStructuredLogs: () => {},
    resourcePersistencePath: join(state, "store"),
    workers: [worker],
  };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions(options as unknown as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  const url = (await miniflare.ready).origin;
  const db = await miniflare.getD1Database("DB");
  await migrate(db as unknown as Parameters<typeof migrate>[0], join(root, "migrations"));
  return { miniflare, db, url };
}
