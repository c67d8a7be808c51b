import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import OpenAI from "openai";
import { Stream } from "openai/streaming";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type FailureReport, type Images, Reporter, type ReportOptions } from "../../client/src/index.ts";
import { reportOf, type WrapOptions, wrap } from "../../client/src/openai.ts";
import { waitingEvent } from "../../client/src/waiting.ts";

/** The real SDK against a real server: with the wrapper and without, a host sees the same; reports say what was asked and answered. */

const WORDS = ["There ", "are ", "three ", "dogs."];
const PIXEL = `data:image/png;base64,${btoa("pixels")}`;
const completion = (contents: (string | null)[]) => ({
  id: "c1",
  object: "chat.completion",
  created: 1,
  model: "served-model",
  choices: contents.map((content, index) => ({
    index,
    finish_reason: "stop",
    logprobs: null,
    message: { role: "assistant", content, refusal: null },
  })),
});
const chunk = (content: string, index = 0) => ({
  id: "c1",
  object: "chat.completion.chunk",
  created: 1,
  model: "served-model",
  choices: [{ index, delta: { role: "assistant", content }, finish_reason: content === WORDS.at(-1) ? "stop" : null }],
});

let server: Server;
let raw: OpenAI;
let answers: (string | null)[];
let status: number;
let endStream: () => void;

beforeAll(async () => {
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (data) => {
      text += data;
    });
    request.on("end", () => {
      const { stream, n = 1 } = JSON.parse(text);
      response.setHeader("x-request-id", "req-1");
      if (status !== 200) return response.writeHead(status).end('{"error":{"message":"no"}}');
      if (!stream)
        return response.setHeader("content-type", "application/json").end(JSON.stringify(completion(answers)));
      response.setHeader("content-type", "text/event-stream");
      for (let index = 0; index < n; index++) {
        for (const word of WORDS) response.write(`data: ${JSON.stringify(chunk(word, index))}\n\n`);
      }
      endStream = () => response.end("data: [DONE]\n\n");
      if (!request.headers["x-hold"]) endStream();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  raw = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "k", maxRetries: 0 });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  answers = ["There are three dogs."];
  status = 200;
});

/** A wrapped client, and what would be sent. */
function captured(options?: WrapOptions) {
  const reporter = new Reporter({ baseUrl: "http://127.0.0.1:9", key: "nm_k" });
  const reports: { event: FailureReport; images: Images; options: ReportOptions | undefined }[] = [];
  vi.spyOn(reporter, "report").mockImplementation((event, images = {}, options) => {
    waitingEvent("id", structuredClone(event) as never, images); // it can be sent
    reports.push({ event, images, options });
    return "id";
  });
  return { openai: wrap(raw, reporter, options), reports, reporter };
}

const question = (): OpenAI.ChatCompletionCreateParamsNonStreaming => ({
  model: "asked-model",
  temperature: 0.2,
  seed: 7,
  max_tokens: 50,
  messages: [
    { role: "developer", content: "Be brief." },
    { role: "user", content: "Hello." },
    { role: "assistant", content: "Hi." },
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: PIXEL, detail: "low" } },
        { type: "text", text: "How many dogs?" },
      ],
    },
  ],
});

test("an answer is reported with what was asked, answered and set", async () => {
  const { openai, reports } = captured({ adapter: "ab".repeat(32) });
  const answer = await openai.chat.completions.create(question());
  const id = reportOf(answer)?.report({ correction: "Two.", rating: "down" }, { sampleKey: "user" });
  expect(id).toBe("id");
  expect(reports).toEqual([
    {
      event: {
        occurredAt: expect.any(Number),
        model: "asked-model",
        adapter: "ab".repeat(32),
        conversation: [
          { role: "system", content: [{ type: "text", text: "Be brief." }] },
          { role: "user", content: [{ type: "text", text: "Hello." }] },
          { role: "assistant", content: [{ type: "text", text: "Hi." }] },
          {
            role: "user",
            content: [
              { type: "image", image: 0 },
              { type: "text", text: "How many dogs?" },
            ],
          },
        ],
        response: "There are three dogs.",
        decoding: { temperature: 0.2, seed: 7, max_tokens: 50 },
        correction: "Two.",
        rating: "down",
      },
      images: [PIXEL],
      options: { sampleKey: "user" },
    },
  ]);
});

test("the host sees what it saw before: objects, helpers, streams, errors, and the same client", async () => {
  const { openai } = captured();
  const plain = await raw.chat.completions.create(question());
  expect(await openai.chat.completions.create(question())).toEqual(plain);
  const { data, response, request_id } = await openai.chat.completions.create(question()).withResponse();
  expect([data, response.status, request_id]).toEqual([plain, 200, "req-1"]);
  expect(reportOf(data)).toBeDefined();
  expect(await (await openai.chat.completions.create(question()).asResponse()).json()).toEqual(completion(answers));
  expect(openai).toBeInstanceOf(OpenAI);
  expect(openai.chat.completions).toBe(openai.chat.completions);
  expect(openai.baseURL).toBe(raw.baseURL);
  expect(openai.constructor).toBe(OpenAI);
  expect(reportOf(plain)).toBeUndefined();
  status = 429;
  await expect(openai.chat.completions.create(question())).rejects.toBeInstanceOf(OpenAI.RateLimitError);
  await expect(openai.chat.completions.create(question()).withResponse()).rejects.toBeInstanceOf(OpenAI.RateLimitError);
});

test("what the host does to its messages afterwards is not reported", async () => {
  const { openai, reports } = captured();
  const request = question();
  const answer = await openai.chat.completions.create(request);
  request.messages.push({ role: "user", content: "And cats?" });
  request.messages[1] = { role: "user", content: "changed" };
  reportOf(answer)?.report({});
  expect(JSON.stringify(reports[0]?.event.conversation)).not.toMatch(/cats|changed/);
});

test("a stream passes untouched, chunk by chunk, and is reported as far as it has come", async () => {
  const { openai, reports, reporter } = captured();
  const stream = await openai.chat.completions.create(
    { ...question(), stream: true, n: 2 },
    { headers: { "x-hold": "1" } },
  );
  expect(stream).toBeInstanceOf(Stream);
  const refuse = vi.spyOn(reporter, "refuse");
  expect(reportOf(stream)?.report({})).toBeNull();
  expect(refuse).toHaveBeenCalledWith("the answer has no text");
  const seen: unknown[] = [];
  for await (const one of stream) {
    seen.push(one);
    if (seen.length === 2) reportOf(stream)?.report({});
    if (seen.length === 2 * WORDS.length) endStream(); // every chunk arrived while the stream was still open
  }
  expect(seen).toEqual([0, 1].flatMap((index) => WORDS.map((word) => chunk(word, index))));
  reportOf(stream)?.report({ choice: 1, rating: "up" });
  expect(reports.map(({ event }) => event.response)).toEqual(["There are ", "There are three dogs."]);
  await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow("consumed");
});

test("a stream that is split, left early or turned into bytes is captured as well", async () => {
  const { openai, reports } = captured();
  const ask = () => openai.chat.completions.create({ ...question(), stream: true });
  const split = await ask();
  const [left, right] = split.tee();
  for await (const _ of left);
  for await (const _ of right);
  reportOf(split)?.report({});
  const leftEarly = await ask();
  for await (const _ of leftEarly) break;
  expect(leftEarly.controller.signal.aborted).toBe(true);
  reportOf(leftEarly)?.report({});
  const bytes = await ask();
  await new Response(bytes.toReadableStream() as ReadableStream<Uint8Array<ArrayBuffer>>).text();
  reportOf(bytes)?.report({});
  expect(reports.map(({ event }) => event.response)).toEqual([
    "There are three dogs.",
    "There ",
    "There are three dogs.",
  ]);
});

test("parse() and stream() are captured too", async () => {
  const { openai, reports } = captured();
  const parsed = await openai.chat.completions.parse(question());
  expect(parsed.choices[0]?.message.parsed).toBeNull();
  reportOf(parsed)?.report({});
  const runner = openai.chat.completions.stream({ ...question(), stream: true });
  expect(await runner.finalContent()).toBe("There are three dogs.");
  reportOf(runner)?.report({});
  expect(reports.map(({ event }) => event.response)).toEqual(["There are three dogs.", "There are three dogs."]);
});

test("of several choices, the one that is meant is reported", async () => {
  answers = ["One.", "Two."];
  const { openai, reports, reporter } = captured({ model: "mini-1" });
  const answer = await openai.chat.completions.create({ ...question(), n: 2 });
  reportOf(answer)?.report({ choice: 1 });
  expect(reports.map(({ event }) => [event.model, event.response])).toEqual([["mini-1", "Two."]]);
  expect(reportOf(answer)?.report({ choice: 2 })).toBeNull();
  expect(reporter.stats().invalid).toBe(1);
});

test("what an event can not hold is refused and counted: tool results, sounds, images at an address, answers without text", async () => {
  const { openai, reporter, reports } = captured();
  const tool = { role: "tool", tool_call_id: "t", content: "7" } as const;
  const call = { id: "t", type: "function", function: { name: "f", arguments: "{}" } } as const;
  const sound = { type: "input_audio", input_audio: { data: "", format: "wav" } } as const;
  const [user] = [{ role: "user", content: "And now?" } as const];
  const requests: OpenAI.ChatCompletionMessageParam[][] = [
    [user, { role: "assistant", tool_calls: [call] }, tool],
    [{ role: "user", content: [sound] }],
    [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://pictures.example/1.png" } }] }],
  ];
  for (const messages of requests) {
    const answer = await openai.chat.completions.create({ model: "m", messages });
    expect(reportOf(answer)?.report({})).toBeNull();
  }
  answers = [null];
  expect(reportOf(await openai.chat.completions.create(question()))?.report({})).toBeNull();
  expect(reporter.stats().invalid).toBe(4);
  expect(reports).toEqual([]);
  answers = ["Seven."];
  const earlier: OpenAI.ChatCompletionMessageParam[] = [
    user,
    { role: "assistant", tool_calls: [call] },
    tool,
    { role: "assistant", content: "7." },
    user,
  ];
  reportOf(await openai.chat.completions.create({ model: "m", messages: earlier }))?.report({});
  expect(reports[0]?.event.conversation.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
});

test("an image at an address is reported with the bytes that the host gives for it", async () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const { openai, reports } = captured({ image: (url) => (url.endsWith("/1.png") ? bytes : undefined) });
  const messages = [
    {
      role: "user" as const,
      content: [{ type: "image_url" as const, image_url: { url: "https://pictures.example/1.png" } }],
    },
  ];
  reportOf(await openai.chat.completions.create({ model: "m", messages }))?.report({});
  expect(reports[0]?.images).toEqual([bytes]);
});

test("nothing that goes wrong in the wrapper reaches the host", async () => {
  const { openai, reporter } = captured({
    image: () => {
      throw new Error("resolver");
    },
  });
  const hostile = { ...question(), messages: { length: 1, 0: null } as never };
  const answer = await openai.chat.completions.create(hostile);
  expect(answer.choices[0]?.message.content).toBe("There are three dogs.");
  expect(reportOf(answer)?.report({})).toBeNull();
  expect(reportOf(answer)?.report(null as never)).toBeNull();
  const remote = { type: "image_url" as const, image_url: { url: "https://pictures.example/1.png" } };
  const other = await openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: [remote] }] });
  expect(reportOf(other)?.report({})).toBeNull();
  expect(reporter.stats().invalid).toBe(3);
});

test("a client with other options is wrapped as well", async () => {
  const { openai, reports } = captured();
  const other = openai.withOptions({ timeout: 5_000 });
  expect(other.timeout).toBe(5_000);
  reportOf(await other.chat.completions.create(question()))?.report({});
  expect(reports.length).toBe(1);
});
