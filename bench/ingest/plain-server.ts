import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { answerMessages } from "../../scripts/edge/group.ts";
import { RAW_CLIENT, RAW_INSERT } from "./raw-insert.ts";
import type { Place } from "./servers.ts";

/** What one would write without a platform: node:http and node:sqlite, a commit per request, on disk before the answer. */
async function start({ root, state }: Place): Promise<{ url: string }> {
  const database = new DatabaseSync(join(state, "plain.sqlite"));
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  const migrations = join(root, "migrations");
  for (const name of readdirSync(migrations).sort()) database.exec(readFileSync(join(migrations, name), "utf8"));
  database.exec(RAW_CLIENT);
  const insert = database.prepare(RAW_INSERT);
  server.on("request", async (request: IncomingMessage, response) => {
    const { changes } = insert.run(await readText(request), "bench", Date.now());
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ stored: changes }));
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const server = createServer();
answerMessages(start, async () => {
  server.closeAllConnections();
});
