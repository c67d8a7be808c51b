import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { installOnce } from "./npm.mjs";

const OLDEST = [3, 11];
const CANDIDATES = ["python3.13", "python3.12", "python3.11", "python3", "python"];

/** The trainer's own Python environment, made by `ensurePython`. */
export function venvPython(root) {
  const venv = join(root, "gpu-trainer", ".venv");
  return process.platform === "win32" ? join(venv, "Scripts", "python.exe") : join(venv, "bin", "python");
}

function versionOf(command) {
  const result = spawnSync(command, ["-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"], {
    encoding: "utf8",
  });
  if (result.status !== 0) return null;
  return result.stdout.trim().split(" ").map(Number);
}

function findPython() {
  const chosen = process.env.NEARMISS_PYTHON;
  for (const command of chosen ? [chosen] : ["python3", ...CANDIDATES]) {
    const version = versionOf(command);
    if (version && (version[0] > OLDEST[0] || (version[0] === OLDEST[0] && version[1] >= OLDEST[1]))) return command;
  }
  return null;
}

/**
 * The trainer's Python with everything in `requirements` installed, or why there is none.
 * @param {string} root the project's folder
 * @param {{dev?: boolean}} options `dev` adds what only the tests need
 * @returns {{python: string} | {missing: string}}
 * @throws {Error} when Python is there but the installation fails
 */
export function ensurePython(root, { dev = false } = {}) {
  const trainer = join(root, "gpu-trainer");
  const python = venvPython(root);
  if (!existsSync(python)) {
    const host = findPython();
    if (!host) {
      const asked = process.env.NEARMISS_PYTHON ? ` (NEARMISS_PYTHON=${process.env.NEARMISS_PYTHON})` : "";
      return { missing: `Python ${OLDEST.join(".")} or newer with venv was not found${asked}` };
    }
    console.error("Making the trainer's virtual environment (gpu-trainer/.venv) ...");
    const made = spawnSync(host, ["-m", "venv", join(trainer, ".venv")], { stdio: ["ignore", 2, 2] });
    if (made.status !== 0) {
      rmSync(join(trainer, ".venv"), { recursive: true, force: true });
      return { missing: "the virtual environment could not be made (is Python's venv module installed?)" };
    }
  }
  for (const [name, wanted] of [
    ["requirements.txt", true],
    ["requirements-dev.txt", dev],
  ]) {
    if (!wanted) continue;
    const list = join(trainer, name);
    installOnce(join(trainer, ".venv", `.installed-${name}`), [list], () => {
      console.error(`Installing the trainer's Python packages (${name}; the first time this takes minutes) ...`);
      const done = spawnSync(python, ["-m", "pip", "install", "--disable-pip-version-check", "-r", list], {
        stdio: ["ignore", 2, 2],
      });
      if (done.status !== 0) throw new Error(`pip install -r gpu-trainer/${name} failed: see its messages above`);
    });
  }
  return { python };
}
