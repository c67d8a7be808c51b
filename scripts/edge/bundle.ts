import { build, type Plugin } from "esbuild";

/**
 * The Worker as one ES module, the way workerd loads it.
 * @param plugins what stands in for some of its modules
 * @param sourcemap for stack traces that name the source's lines; it is larger than the Worker, and a start takes longer with it
 */
export async function bundleWorker(
  entry: string,
  sourcemap: "inline" | false = "inline",
  plugins: Plugin[] = [],
): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    sourcemap,
    plugins,
    logLevel: "warning",
  });
  const [file] = result.outputFiles;
  if (!file) throw new Error("esbuild made no output");
  return file.text;
}
