// `npm start`: installs what is missing, then hands over to the loop (scripts/loop/main.ts) under a Node that runs TypeScript.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureNodeModules, nodeForTypeScript } from "./setup/npm.mjs";
import { ensurePython } from "./setup/python.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function prepare() {
  ensureNodeModules(root);
  const found = ensurePython(root);
  const env = { ...process.env };
  if ("python" in found) env.NEARMISS_TRAINER_PYTHON = found.python;
  else env.NEARMISS_PYTHON_MISSING = found.missing;
  return { node: nodeForTypeScript(root), env };
}

let prepared;
try {
  prepared = prepare();
} catch (error) {
  console.error(`nearmiss: ${error.message}`);
  process.exit(2);
}
const args = [join(root, "scripts", "loop", "main.ts"), ...process.argv.slice(2)];
const child = spawn(prepared.node, args, { cwd: process.cwd(), env: prepared.env, stdio: "inherit" });
// Ctrl-C reaches the whole process group by itself; a plain kill reaches only us.
let interrupted = false;
process.on("SIGINT", () => {
  interrupted = true;
});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => process.exit(interrupted ? 0 : signal ? 1 : (code ?? 1)));
