// Runs before anything is installed, under whatever Node (>= 20) the host has: plain JavaScript, no dependencies.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The smallest Node that runs the TypeScript of this project as it is. */
const NODE_MAJOR_FOR_TYPESCRIPT = 23;

/** Hex SHA-256 of the files' contents: what an installation was made from. */
export function fingerprint(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(readFileSync(path));
  return hash.digest("hex");
}

/** Does `install` when the stamp says that it was made from other files, and stamps it afterwards. */
export function installOnce(stampPath, paths, install) {
  const wanted = fingerprint(paths);
  if (existsSync(stampPath) && readFileSync(stampPath, "utf8") === wanted) return;
  install();
  writeFileSync(stampPath, wanted);
}

/**
 * `npm ci` when node_modules is missing or was made from another lock file.
 * @param {string} root the project's folder
 */
export function ensureNodeModules(root) {
  const files = [join(root, "package-lock.json")];
  installOnce(join(root, "node_modules", ".nearmiss-installed"), files, () => {
    console.error("Installing npm packages (npm ci) ...");
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    const result = spawnSync(npm, ["ci", "--no-fund", "--no-audit", "--loglevel=error"], {
      cwd: root,
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32",
    });
    if (result.status !== 0) throw new Error("npm ci failed: see its messages above");
  });
}

/**
 * The Node that runs TypeScript: the one from the optional dependency where there is one, else the host's.
 * @param {string} root the project's folder
 * @returns {string} path of the executable
 */
export function nodeForTypeScript(root) {
  const bundled = join(root, "node_modules", ".bin", "node");
  if (existsSync(bundled)) return bundled;
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_FOR_TYPESCRIPT) return process.execPath;
  throw new Error(`Node ${process.versions.node} cannot run this project here: install Node 24 or newer`);
}
