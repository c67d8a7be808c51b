import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { CallRefused, OperatorApi } from "../loop/api.ts";
import { UsageError } from "../usage-error.ts";

/** Options of every command that talks to an edge. */
export const CONNECTION_OPTIONS = {
  api: { type: "string" },
  key: { type: "string" },
  state: { type: "string", default: ".nearmiss" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

export const CONNECTION_HELP = `  --api URL      the edge (NEARMISS_API)
  --key KEY      a key with the scope operate (NEARMISS_KEY)
  --state PATH   without --api: the state folder of the local run to talk to (.nearmiss)
  --json         one JSON object instead of text
  --help         this text`;

export const EXIT = { ok: 0, failed: 1, usage: 2, declined: 3, stale: 4 } as const;

const localRun = z.object({ adminKey: z.string(), url: z.string().nullish() });

interface Chosen {
  readonly api?: string | undefined;
  readonly key?: string | undefined;
  readonly state: string;
}

/**
 * The edge that was named, or else the one that `npm start` serves.
 * @throws {UsageError} when neither is to be found
 */
export function connect(chosen: Chosen, env: NodeJS.ProcessEnv, cwd: string): OperatorApi {
  const url = chosen.api ?? env.NEARMISS_API;
  const key = chosen.key ?? env.NEARMISS_KEY;
  if (url && key) return new OperatorApi(url.replace(/\/+$/, ""), key);
  if (url) throw new UsageError("the edge needs a key: --key, or NEARMISS_KEY");
  const path = join(resolve(cwd, chosen.state), "loop.json");
  const which = `name an edge with --api and --key (NEARMISS_API, NEARMISS_KEY)`;
  if (!existsSync(path)) throw new UsageError(`there is no ${path}: start a local run with npm start, or ${which}`);
  const run = localRun.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!run.success || !run.data.url) throw new UsageError(`${path} names no edge: start it again, or ${which}`);
  return new OperatorApi(run.data.url, key ?? run.data.adminKey);
}

/** Runs a command to its exit code: what went wrong is one line, and no stack unless it is a fault of ours. */
export async function runCommand(name: string, command: () => Promise<number>): Promise<void> {
  process.exitCode = await command().catch((error: unknown) => {
    const [text, code] = failure(error);
    console.error(text.replaceAll(/^/gm, `${name}: `));
    return code;
  });
}

function failure(error: unknown): [text: string, exitCode: number] {
  if (error instanceof UsageError || isArgumentError(error)) return [error.message, EXIT.usage];
  if (error instanceof CallRefused) return [error.summary, EXIT.failed];
  if (error instanceof TypeError && error.cause instanceof Error) {
    const { code, message } = error.cause as NodeJS.ErrnoException;
    return [`the edge does not answer (${code ?? message}); is it running?`, EXIT.failed];
  }
  if (error instanceof z.ZodError || error instanceof SyntaxError) {
    return [`what answers there is no edge of this version: ${error.message}`, EXIT.failed];
  }
  return [error instanceof Error ? (error.stack ?? error.message) : String(error), EXIT.failed];
}

/** What `parseArgs` throws. */
function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && String((error as NodeJS.ErrnoException).code).startsWith("ERR_PARSE_ARGS");
}
