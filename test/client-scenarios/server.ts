import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";
import { Intakes } from "./intake.ts";

export interface IntakeServer {
  origin: string;
  deadOrigin: string;
  close: () => Promise<void>;
}

/** `Intakes` on a real port of this machine; `pages` are served beside it, by path. */
export async function startIntakes(pages: Record<string, { type: string; body: string }> = {}): Promise<IntakeServer> {
  const intakes = new Intakes();
  const server = createServer((request, response) => {
    const page = pages[request.url ?? ""];
    if (page) response.writeHead(200, { "content-type": page.type }).end(page.body);
    else answer(intakes, request, response).catch(() => response.destroy());
  });
  const origin = await listen(server);
  const dead = createServer();
  const deadOrigin = await listen(dead);
  await close(dead);
  return { origin, deadOrigin, close: () => close(server) };
}

/** A Web answer over the socket; where its body breaks, the connection does. */
async function answer(intakes: Intakes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hasBody = request.method !== "GET";
  const made = await intakes.answer(
    new Request(`http://intake.test${request.url}`, {
      method: request.method ?? "GET",
      headers: Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
        typeof value === "string" ? [[name, value]] : [],
      ),
      ...(hasBody && { body: Readable.toWeb(request) as ReadableStream<Uint8Array<ArrayBuffer>>, duplex: "half" }),
    } as RequestInit),
  );
  response.writeHead(made.status, Object.fromEntries(made.headers));
  if (made.body) await pipeline(Readable.fromWeb(made.body as WebStream), response);
  else response.end();
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
