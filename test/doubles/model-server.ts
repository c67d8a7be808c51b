import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How the server behaves: edits well, answers 500, answers no JSON, or never answers. */
export type Behaviour = "edits" | "fails" | "babbles" | "hangs";

export interface ModelServer {
  /** Base URL for an OpenAI client. */
  readonly url: string;
  /** Requests so far. */
  readonly calls: () => number;
  behave(behaviour: Behaviour): void;
  close(): Promise<void>;
}

const NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/** Raises the first number word by one: a near miss for counts, and no change for anything else. */
function editCount(text: string): string {
  return text.replace(
    /\b(one|two|three|four|five|six|seven|eight)\b/,
    (word) => NUMBERS[NUMBERS.indexOf(word) + 1] ?? word,
  );
}

async function textOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
}

/** A model behind an OpenAI-compatible endpoint, over real HTTP. `answerIn` finds the right answer in a prompt. */
export async function startModelServer(answerIn: (prompt: string) => string): Promise<ModelServer> {
  let behaviour: Behaviour = "edits";
  let calls = 0;
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    calls += 1;
    const body = await textOf(request);
    if (behaviour === "hangs") return;
    if (behaviour === "fails") {
      response.writeHead(500, { "content-type": "application/json" }).end('{"error":{"message":"broken"}}');
      return;
    }
    const { messages } = JSON.parse(body) as { messages: { role: string; content: string }[] };
    const prompt = messages.find(({ role }) => role === "user")?.content ?? "";
    const content =
      behaviour === "babbles" ? "Sure! Here you go." : JSON.stringify({ rejected: editCount(answerIn(prompt)) });
    const reply = {
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 0,
      model: "double",
      choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content } }],
      usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
    };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(reply));
  };
  const server = createServer((request, response) => void respond(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    calls: () => calls,
    behave(next) {
      behaviour = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
