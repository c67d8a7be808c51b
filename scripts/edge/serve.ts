import { createWriteStream } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";
import { UsageError } from "../usage-error.ts";
import { bundleWorker } from "./bundle.ts";
import { migrate } from "./migrate.ts";

export interface EdgeOptions {
  /** The project's folder. */
  readonly root: string;
  /** Where D1, R2 and the log live. */
  readonly state: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly adminKeySha256: string;
  /** Secrets and settings as wrangler.toml names them: SIGNING_SECRET, EDITOR_BASE_URL, TEACHER_MODEL, ... */
  readonly vars: Readonly<Record<string, string>>;
  /** The Worker's module, where it was bundled already. */
  readonly bundle?: string;
}

export interface Edge {
  readonly url: string;
  /** Names of the migrations applied at this start. */
  readonly migrated: readonly string[];
  /** What Cloudflare's cron does in production. */
  cron(at: Date): Promise<void>;
  close(): Promise<void>;
}

const HOST = "127.0.0.1";

/** What this file reads of the options that wrangler derives from wrangler.toml. */
interface WorkerOptions {
  readonly bindings?: Record<string, unknown>;
}

/** @throws {UsageError} one clear line when the port cannot be had */
export async function checkPort(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "is in use" : `cannot be opened (${error.code})`;
      reject(new UsageError(`port ${port} ${why}: choose another with --port`));
    });
    probe.listen(port, HOST, () => probe.close(() => resolve()));
  });
}

/** The Worker in workerd with local D1, R2 and Queues, configured by wrangler.toml, its database migrated. */
export async function serveEdge(options: EdgeOptions): Promise<Edge> {
  await checkPort(options.port);
  const workerOptions = workerOptionsOf(join(options.root, "wrangler.toml")).workerOptions as WorkerOptions;
  const log = createWriteStream(join(options.state, "edge.log"), { flags: "a" });
  const contents = options.bundle ?? (await bundleWorker(join(options.root, "workers/index.ts")));
  const worker = {
    ...workerOptions,
    name: "nearmiss",
    modules: [{ type: "ESModule", path: "index.js", contents }],
    bindings: { ...workerOptions.bindings, ...options.vars, ADMIN_KEY_SHA256: options.adminKeySha256 },
  };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: HOST,
      port: options.port,
      cf: false,
      log: new Log(LogLevel.ERROR),
      resourcePersistencePath: join(options.state, "edge"),
      handleStructuredLogs: ({ message }: { message: string }) => log.write(`${message}\n`),
      workers: [worker],
    } as unknown as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  const url = (await miniflare.ready).origin;
  const db = await miniflare.getD1Database("DB");
  const migrated = await migrate(db as unknown as Parameters<typeof migrate>[0], join(options.root, "migrations"));
  return {
    url,
    migrated,
    async cron(at) {
      const handle = await miniflare.getWorker();
      await handle.scheduled({ scheduledTime: at, cron: "*/5 * * * *" });
    },
    async close() {
      await miniflare.dispose();
      log.end();
    },
  };
}
