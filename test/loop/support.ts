import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Edge, serveEdge } from "../../scripts/edge/serve.ts";
import { OperatorApi } from "../../scripts/loop/api.ts";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The trainer's Python, which `npm test` installs. */
export function trainerPython(): string {
  return process.env.NEARMISS_TRAINER_PYTHON ?? join(ROOT, "gpu-trainer", ".venv", "bin", "python");
}

const folders: string[] = [];
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that goes when the test process does. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "nearmiss-loop-"));
  folders.push(folder);
  return folder;
}

export interface TestEdge extends Edge {
  readonly api: OperatorApi;
  readonly state: string;
  readonly adminKey: string;
  key(scope: string): Promise<string>;
}

/** A fresh edge in workerd with its own store. */
export async function startEdge(vars: Record<string, string> = {}): Promise<TestEdge> {
  const state = temporaryFolder();
  const adminKey = `nm_${randomBytes(32).toString("base64url")}`;
  const adminKeySha256 = createHash("sha256").update(adminKey).digest("hex");
  const edge = await serveEdge({ root: ROOT, state, port: 0, adminKeySha256, vars });
  const api = new OperatorApi(edge.url, adminKey);
  return {
    ...edge,
    api,
    state,
    adminKey,
    key: async (scope) => (await api.createKey(`test ${scope}`, [scope], 1_000_000)).key,
  };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `npm start`'s program to its end. */
export function runLoop(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, "scripts", "loop", "main.ts"), ...args], {
    cwd: ROOT,
    env: { ...process.env, NEARMISS_TRAINER_PYTHON: trainerPython(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    out.stderr += chunk;
  });
  return new Promise((resolve) => child.on("exit", (code) => resolve({ code, ...out })));
}
