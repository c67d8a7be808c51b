// Formatter, linter and types of the trainer. Part of `npm run check`.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensurePython } from "./setup/python.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const found = ensurePython(root, { dev: true });
if ("missing" in found) {
  console.error(`The trainer cannot be checked: ${found.missing}.`);
  process.exit(2);
}
const steps = [
  ["ruff", "format", "--check", "."],
  ["ruff", "check", "."],
  ["mypy", "nearmiss"],
];
for (const step of steps) {
  const { status } = spawnSync(found.python, ["-m", ...step], { cwd: join(root, "gpu-trainer"), stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
