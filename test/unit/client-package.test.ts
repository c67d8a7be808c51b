import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

/** The package as it is published: built alone, in a folder without the rest of the repository. */

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
let home: string;
let built: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "nearmiss-client-"));
  built = join(home, "node_modules", "nearmiss");
  const isSource = (path: string) => !/[/\\](dist|node_modules)$/.test(path);
  await cp(join(root, "client"), built, { recursive: true, filter: isSource });
  // The optional peer, as an app that has it would.
  await symlink(join(root, "node_modules", "openai"), join(home, "node_modules", "openai"), "dir");
  await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", built]);
}, 120_000);
afterAll(() => rm(home, { recursive: true, force: true }));

test("it packs what is built, and nothing else", async () => {
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--offline"], { cwd: built });
  const [packed] = JSON.parse(stdout) as { name: string; files: { path: string }[] }[];
  const paths = packed?.files.map(({ path }) => path) ?? [];
  expect(packed?.name).toBe("nearmiss");
  expect(paths).toEqual(expect.arrayContaining(["package.json", "README.md", "dist/index.js", "dist/index.d.ts"]));
  expect(paths).toEqual(expect.arrayContaining(["dist/openai.js", "dist/openai.d.ts"]));
  expect(paths.filter((path) => !/^(package\.json|README\.md|dist\/[a-z-]+(\.d)?\.[jt]s)$/.test(path))).toEqual([]);
});

test("what is built needs nothing at run time: no package, no module of Node", async () => {
  const files = (await readdir(join(built, "dist"))).filter((name) => name.endsWith(".js"));
  const sources = await Promise.all(files.map((name) => readFile(join(built, "dist", name), "utf8")));
  const imported = sources.flatMap((source) =>
    [...source.matchAll(/(?:from|import)\s*\(?"([^"]+)"/g)].map(([, name]) => name),
  );
  expect(imported.length).toBeGreaterThan(10);
  expect(imported.filter((name) => !/^\.\/[a-z-]+\.js$/.test(name ?? ""))).toEqual([]);
  const { dependencies } = JSON.parse(await readFile(join(built, "package.json"), "utf8"));
  expect(dependencies).toBeUndefined();
});

test("an app imports it by its name, and reports", async () => {
  const program = `
    import { Reporter } from "nearmiss";
    import { reportOf, wrap } from "nearmiss/openai";
    const fetch = async (url, { body }) => {
      const { events } = JSON.parse(new TextDecoder().decode(body));
      return Response.json({ results: events.map(({ eventId }) => ({ eventId, status: "stored" })) });
    };
    const reporter = new Reporter({ baseUrl: "https://edge.test", key: "nm_k", fetch });
    reporter.report({ model: "m", conversation: [], response: "r" });
    await reporter.close();
    console.log(reporter.stats().stored, typeof wrap, reportOf({}));
  `;
  await writeFile(join(home, "app.mjs"), program);
  const { stdout } = await run(process.execPath, [join(home, "app.mjs")]);
  expect(stdout).toBe("1 function undefined\n");
});

test("an app's compiler finds its types", async () => {
  const program = `
    import { Reporter, type FailureReport } from "nearmiss";
    import { reportOf, wrap } from "nearmiss/openai";
    import OpenAI from "openai";
    const reporter = new Reporter({ baseUrl: "https://edge.test", key: "nm_k" });
    const openai: OpenAI = wrap(new OpenAI({ apiKey: "k" }), reporter);
    const answer = await openai.chat.completions.create({ model: "m", messages: [] });
    const id: string | null | undefined = reportOf(answer)?.report({ correction: "Two.", rating: "down" });
    // @ts-expect-error no such field
    const event: FailureReport = { model: "m", conversation: [], response: "r", colour: "red" };
    console.log(id, event);
  `;
  await writeFile(join(home, "app.mts"), program);
  expect(await compile("app.mts")).toBe("");
}, 60_000);

test("the code in the README compiles", async () => {
  const text = await readFile(join(built, "README.md"), "utf8");
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
  const names = blocks.map((_, index) => `readme-${index}.mts`);
  const environment =
    "declare const process: { env: Record<string, string>; on(name: string, listener: () => void): void };";
  await writeFile(join(home, "process.d.ts"), environment);
  for (const [index, name] of names.entries()) await writeFile(join(home, name), blocks[index] ?? "");
  expect(names.length).toBeGreaterThanOrEqual(4);
  expect(await compile("process.d.ts", ...names)).toBe("");
}, 60_000);

/** What an app's compiler has to say about its files. */
function compile(...names: string[]): Promise<string> {
  const options = [
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--skipLibCheck",
    "--types",
    "",
  ];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  return run(process.execPath, [tsc, ...options, ...names], { cwd: home }).then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout,
  );
}
