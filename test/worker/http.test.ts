import {
  createExecutionContext,
  createMessageBatch,
  createScheduledController,
  getQueueResult,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { buildApp } from "../../workers/app.ts";
import type { EditMessage } from "../../workers/env.ts";
import worker from "../../workers/index.ts";
import { ADMIN_KEY, call, countRows, createKey, expectError, expectJson, testEvent } from "./support.ts";

let client: string;
beforeAll(async () => {
  client = (await createKey(["ingest"])).key;
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("a body", () => {
  const post = (body: BodyInit, headers: Record<string, string> = {}) =>
    call("POST", "/v1/failures", { key: client, body, headers });

  test.each([
    ["nothing", "", "empty"],
    ["no JSON", "{events: []}", "not valid JSON"],
    ["half of it", '{"events": [', "not valid JSON"],
    ["two at once", "{}{}", "not valid JSON"],
  ])("that is not JSON is refused without being quoted: %s", async (_name, body, reason) => {
    const error = await expectError(await post(body), 400);
    expect(error).toMatchObject({ code: "bad_request", message: expect.stringContaining(reason) });
    expect(error.details).toBeUndefined();
  });

  test("that is not UTF-8 is refused", async () => {
    const error = await expectError(await post(Uint8Array.from([0x22, 0xff, 0xfe, 0x22])), 400);
    expect(error.message).toContain("UTF-8");
  });

  test.each([
    ["null", "body"],
    ["[]", "body"],
    ['"events"', "body"],
    ["{}", "events"],
    ['{"events": {}}', "events"],
    ['{"events": []}', "events"],
    ['{"events": [{}], "event": 1}', "body"],
    ['{"events": [{}], "__proto__": {"admin": true}}', "body"],
  ])("of another shape is refused by path: %s", async (body, path) => {
    const error = await expectError(await post(body), 400);
    expect(error.details?.map((problem) => problem.path)).toEqual([path]);
    expect(error.details?.[0]?.message).not.toBe("");
  });

  test("that nests without end is an invalid event, not a crash", async () => {
    const nested = `${"[".repeat(400_000)}${"]".repeat(400_000)}`;
    const response = await post(`{"events": [${nested}]}`);
    expect(await expectJson(response)).toEqual({
      results: [expect.objectContaining({ eventId: null, status: "invalid" })],
    });
  });

  test("one byte above the limit is refused and stores nothing, with its length told or not", async () => {
    const before = await countRows("failures");
    const body = JSON.stringify({ events: [testEvent("too large")] }).padEnd(LIMITS.intakeBytes + 1, " ");
    expect((await expectError(await post(body), 413)).code).toBe("too_large");
    await expectError(await post(new Blob([body]).stream()), 413);
    expect(await countRows("failures")).toBe(before);
    await expectJson(await post(body.slice(0, -1)));
    expect(await countRows("failures")).toBe(before + 1);
  });

  test("that says it is too long is refused before it is read", async () => {
    let chunks = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        chunks += 1;
        controller.enqueue(new Uint8Array(1_024));
      },
    });
    await expectError(await post(endless, { "content-length": "9999999" }), 413);
    expect(chunks).toBeLessThan(10);
  });

  test("whose length is a lie is counted as it comes", async () => {
    const body = JSON.stringify({ events: [testEvent("liar")] }).padEnd(LIMITS.intakeBytes + 1, " ");
    const stream = new Blob([body]).stream();
    await expectError(await post(stream, { "content-length": "10" }), 413);
  });
});

/** The app, called without the test's network, on bindings of one's own. */
async function callApp(bindings: Partial<typeof env>, json: unknown): Promise<Response> {
  const request = new Request("https://edge.test/v1/failures?token=nm_secret-in-query", {
    method: "POST",
    headers: { authorization: `Bearer ${client}` },
    body: JSON.stringify(json),
  });
  const context = createExecutionContext();
  const response = await buildApp().fetch(request, { ...env, ...bindings }, context);
  await waitOnExecutionContext(context);
  return response;
}

/** The database, but every batch fails with this message. */
function failing(message: string): D1Database {
  const batch = () => Promise.reject(new Error(message));
  return new Proxy(env.DB, {
    get: (db, name) => (name === "batch" ? batch : (Reflect.get(db, name) as () => unknown).bind(db)),
  });
}

describe("a failure of ours", () => {
  test("that will pass is 503 with a time to come again", async () => {
    const DB = failing("D1_ERROR: D1 DB is overloaded. Too many requests queued.");
    const response = await callApp({ DB }, { events: [testEvent("busy")] });
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await expectError(response, 503)).code).toBe("overloaded");
  });

  test("that was not foreseen is 500 with a request id, and tells nothing else", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const DB = failing("no such table: internal_secrets");
    const response = await callApp({ DB }, { events: [testEvent("crash", { response: "private words" })] });
    const text = await response.clone().text();
    expect(text).not.toContain("internal_secrets");
    const error = await expectError(response, 500);
    expect(error.code).toBe("internal");
    const line = JSON.parse(String(log.mock.lastCall?.[0]));
    expect(line).toMatchObject({ requestId: error.requestId, status: 500, code: "internal" });
    expect(line.message).toContain("internal_secrets");
    expect(JSON.stringify(log.mock.calls)).not.toContain("private words");
  });
});

describe("the entry", () => {
  test("passes cron events on: a new report is planned for", async () => {
    await expectJson(await call("POST", "/v1/failures", { key: client, json: { events: [testEvent("cron")] } }));
    await worker.scheduled(createScheduledController({ scheduledTime: 1_760_000_000_000 }), env);
    expect(await countRows("ticks")).toBe(1);
  });

  test("passes queue messages on: one of unknown jobs is done with", async () => {
    const message = { id: "m", timestamp: new Date(0), attempts: 1, body: { jobs: ["unknown"] } };
    const batch = createMessageBatch<EditMessage>("nearmiss-edits", [message]);
    await worker.queue(batch, env);
    expect((await getQueueResult(batch, createExecutionContext())).explicitAcks).toEqual(["m"]);
  });
});

describe("the log", () => {
  test("of a failed read has not what was asked for, though the library puts it into its message", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const broken = new Proxy(env.DB, {
      get: (db, name) =>
        name === "prepare" ? () => db.prepare("SELECT * FROM no_such_table WHERE ?1") : Reflect.get(db, name),
    });
    const request = new Request("https://edge.test/v1/rounds/private-id", {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const response = await buildApp().fetch(request, { ...env, DB: broken }, createExecutionContext());
    await expectError(response, 500);
    const line = String(log.mock.lastCall?.[0]);
    expect(JSON.parse(line)).toMatchObject({ status: 500, message: expect.stringContaining("no_such_table") });
    expect(line).not.toContain("private-id");
  });

  test("has one JSON line per request, with what came of it, and neither key nor text nor query", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const response = await callApp({}, { events: [testEvent("logged", { response: "private words" }), {}] });
    expect(response.status).toBe(200);
    expect(log).toHaveBeenCalledTimes(1);
    const line = String(log.mock.lastCall?.[0]);
    expect(JSON.parse(line)).toEqual({
      event: "request",
      requestId: response.headers.get("x-request-id"),
      method: "POST",
      route: "/v1/failures",
      status: 200,
      durationMs: expect.any(Number),
      actor: expect.stringMatching(/^key:/),
      stored: 1,
      duplicate: 0,
      conflict: 0,
      invalid: 1,
    });
    for (const secret of [client, "private words", "nm_secret-in-query"]) expect(line).not.toContain(secret);
  });

  test("names no actor for a key it does not know", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    await call("GET", "/v1/policy", { key: `${ADMIN_KEY}x` });
    expect(JSON.parse(String(log.mock.lastCall?.[0]))).toMatchObject({
      actor: null,
      status: 401,
      code: "unauthorized",
    });
  });
});
