import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ProcessGroup } from "../../scripts/edge/group.ts";
import { startEdgeProcess } from "../../scripts/edge/process.ts";
import { OperatorApi } from "../../scripts/loop/api.ts";
import type { Load } from "./load.ts";

const ROOT = dirname(dirname(import.meta.dirname));

/** Where a server finds the project, and where it keeps its files. */
export interface Place {
  readonly root: string;
  readonly state: string;
}

/** Something to measure, in processes of its own, with an empty store of its own. */
export interface Server {
  /** Where events go, and how the answer says that they are stored. */
  readonly target: Pick<Load, "url" | "path" | "key" | "acknowledges">;
  /** Ends it. @returns bytes its store had on the disk */
  close(): Promise<number>;
}

export type ServerName = "nearmiss" | "unstored" | "raw" | "plain";

/** The Worker as it is, and one that stores nothing, as modules. */
export interface Bundles {
  readonly nearmiss: string;
  readonly unstored: string;
}

/** The key's limits play no part here. */
const REPORT_CAP = 1_000_000;
const LIMITS_PER_MINUTE = { eventsPerMinute: 1_000_000_000, requestsPerMinute: 1_000_000_000 };

export async function startServer(name: ServerName, bundles: Bundles): Promise<Server> {
  const state = mkdtempSync(join(tmpdir(), "nearmiss-ingest-"));
  return name === "raw" || name === "plain" ? startYardstick(name, state) : startNearmiss(state, bundles[name]);
}

async function startNearmiss(state: string, bundle: string): Promise<Server> {
  const adminKey = `nm_${randomBytes(32).toString("base64url")}`;
  const adminKeySha256 = createHash("sha256").update(adminKey).digest("hex");
  const edge = await startEdgeProcess({ root: ROOT, state, port: 0, adminKeySha256, vars: {}, bundle });
  const { key } = await new OperatorApi(edge.url, adminKey).createKey(
    "bench",
    ["ingest"],
    REPORT_CAP,
    LIMITS_PER_MINUTE,
  );
  return {
    target: { url: edge.url, path: "/v1/failures", key, acknowledges: "each" },
    async close() {
      await edge.close();
      return removed(state, "edge");
    },
  };
}

async function startYardstick(name: "raw" | "plain", state: string): Promise<Server> {
  const group = new ProcessGroup(join(import.meta.dirname, `${name}-server.ts`), state);
  const { url } = await group.ask<{ url: string }>({ root: ROOT, state } satisfies Place);
  return {
    target: { url, path: "/", key: "", acknowledges: "all" },
    async close() {
      await group.close();
      return removed(state, ".");
    },
  };
}

/** Removes the state. @returns bytes of the files that lay in `store` */
function removed(state: string, store: string): number {
  const files = readdirSync(join(state, store), { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const bytes = files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
  rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  return bytes;
}
