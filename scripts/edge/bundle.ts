import { build } from "esbuild";

/** The Worker as one ES module, the way workerd loads it. */
export async function bundleWorker(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    sourcemap: "inline",
    logLevel: "warning",
  });
  const [file] = result.outputFiles;
  if (!file) throw new Error("esbuild made no output");
  return file.text;
}
