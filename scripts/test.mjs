// `npm test`: installs what is missing, then runs every test, quick ones first: pure functions, the Worker inside workerd, Python,
// the whole loop, Chromium. The last line is the count. Arguments choose parts: `npm test -- unit worker python loop browser`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureNodeModules, nodeForTypeScript } from "./setup/npm.mjs";
import { ensurePython } from "./setup/python.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PARTS = ["unit", "worker", "python", "loop", "browser"];

const NOTHING = { passed: 0, failed: 0, skipped: 0 };
const BROKEN = { passed: 0, failed: 1, skipped: 0 };

function run(command, args, env) {
  return spawnSync(command, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] }).status === 0;
}

function vitest(node, project, env, reports) {
  const file = join(reports, `${project}.json`);
  const bin = join(root, "node_modules", "vitest", "vitest.mjs");
  const ok = run(
    node,
    [bin, "run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`],
    env,
  );
  if (!existsSync(file)) return BROKEN;
  const report = JSON.parse(readFileSync(file, "utf8"));
  const failed = report.numFailedTests;
  return { passed: report.numPassedTests, failed: ok ? failed : Math.max(failed, 1), skipped: report.numPendingTests };
}

function pytest(python, env, reports) {
  const file = join(reports, "python.xml");
  const ok = run(python, ["-m", "pytest", "gpu-trainer/tests", "-q", `--junitxml=${file}`], env);
  if (!existsSync(file)) return BROKEN;
  const head = /<testsuite [^>]*>/.exec(readFileSync(file, "utf8"))?.[0] ?? "";
  const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  const skipped = count("skipped");
  return { passed: count("tests") - failed - skipped, failed: ok ? failed : Math.max(failed, 1), skipped };
}

function main(asked) {
  const unknown = asked.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) throw new Error(`unknown part ${unknown.join(", ")}: choose from ${PARTS.join(", ")}`);
  const parts = PARTS.filter((part) => asked.length === 0 || asked.includes(part));
  ensureNodeModules(root);
  const node = nodeForTypeScript(root);
  const env = { ...process.env, OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? "1" };
  const needsPython = parts.includes("python") || parts.includes("loop");
  const found = needsPython ? ensurePython(root, { dev: true }) : { missing: "not asked for" };
  if ("python" in found) env.NEARMISS_TRAINER_PYTHON = found.python;
  const reports = mkdtempSync(join(tmpdir(), "nearmiss-test-"));
  try {
    const total = { ...NOTHING };
    for (const part of parts) {
      const counts = part === "python" ? python(found, env, reports) : vitest(node, part, env, reports);
      for (const key of Object.keys(total)) total[key] += counts[key];
      if (counts.failed > 0) console.log(`${part}: ${counts.failed} failed`);
    }
    const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
    console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
    return total.failed > 0 || total.passed === 0 ? 1 : 0;
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

function python(found, env, reports) {
  if ("python" in found) return pytest(found.python, env, reports);
  console.error(`The trainer's tests cannot run: ${found.missing}.`);
  return BROKEN;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  console.error(`npm test: ${error.message}`);
  process.exitCode = 2;
}
