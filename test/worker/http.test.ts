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

describe("a gzipped body", () => {
  const gzip = async (text: string | Uint8Array) => {
    const packed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(packed).arrayBuffer());
  };
  const post = (body: Uint8Array, headers: Record<string, string> = {}) =>
    call("POST", "/v1/failures", { key: client, body, headers: { "content-encoding": "gzip", ...headers } });

  test.each([1, 20, 500])("is read as what it unpacks to: %i events", async (count) => {
    const events = Array.from({ length: count }, (_, index) =>
      testEvent(`zip ${count} ${index}`, { reason: hex(200) }),
    );
    const response = await post(await gzip(JSON.stringify({ events })));
    const { results } = await expectJson<{ results: { status: string }[] }>(response);
    expect(results.map(({ status }) => status)).toEqual(events.map(() => "stored"));
  });

  test("that is damaged is refused, wherever", async () => {
    const whole = await gzip(JSON.stringify({ events: [testEvent("damaged")] }));
    const before = await countRows("failures");
    const damaged = [
      new Uint8Array(),
      Uint8Array.of(1, 2, 3),
      whole.slice(0, -1),
      whole.slice(0, whole.length / 2),
      Uint8Array.from([...whole, 0]),
      whole.map((byte, index) => (index === whole.length - 6 ? byte ^ 1 : byte)),
    ];
    for (const body of damaged) {
      expect((await expectError(await post(body), 400)).message).toContain("gzip");
    }
    expect(await countRows("failures")).toBe(before);
  });

  test("is held to the limit when it is unpacked, however small it is", async () => {
    const [most, more] = [LIMITS.intakeBytes, LIMITS.intakeBytes + 1];
    const event = (length: number, id: string) => JSON.stringify({ events: [testEvent(id)] }).padEnd(length, " ");
    await expectJson(await post(await gzip(event(most, "zip at the limit"))));
    expect((await expectError(await post(await gzip(event(more, "zip over it"))), 413)).code).toBe("too_large");
    await expectError(await post(await gzip(new Uint8Array(60_000_000))), 413);
    await expectError(await post(new Uint8Array(more)), 413);
  });

  test("may come in chunks, and with its name in capitals", async () => {
    const stream = new Blob([await gzip(JSON.stringify({ events: [testEvent("zip stream")] }))]).stream();
    const headers = { "content-encoding": " GZIP" };
    await expectJson(await call("POST", "/v1/failures", { key: client, body: stream, headers }));
  });

  test("in an encoding that is not known is refused", async () => {
    for (const encoding of ["br", "deflate", "zstd", "gzip, gzip", "x"]) {
      const response = await post(await gzip("{}"), { "content-encoding": encoding });
      expect((await expectError(response, 415)).code, encoding).toBe("unsupported_type");
    }
  });
});

/** Digits that do not compress well. */
function hex(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length / 2));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("events as NDJSON", () => {
  const post = (body: string, type = "application/x-ndjson") =>
    call("POST", "/v1/failures", { key: client, body, headers: { "content-type": type } });
  const line = (eventId: string) => JSON.stringify(testEvent(eventId));

  test.each(["application/x-ndjson", "application/jsonl", "Application/X-NDJSON; charset=utf-8"])(
    "are one a line, and a line that is none costs no other: %s",
    async (type) => {
      const body = `${line(`${type} a`)}\r\n\n{"eventId":\n  \n${line(`${type} b`)}\n[]\n`;
      const { results } = await expectJson<{ results: { status: string; problems?: unknown[] }[] }>(
        await post(body, type),
      );
      expect(results.map(({ status }) => status)).toEqual(["stored", "invalid", "stored", "invalid"]);
    },
  );

  test("are at most so many, and at least one", async () => {
    const lines = (count: number) => "{}\n".repeat(count);
    const most = await expectJson<{ results: unknown[] }>(await post(lines(LIMITS.eventsPerRequest)));
    expect(most.results).toHaveLength(LIMITS.eventsPerRequest);
    expect((await expectError(await post(lines(LIMITS.eventsPerRequest + 1)), 413)).code).toBe("too_large");
    for (const nothing of ["", "\n \r\n"])
      expect((await expectError(await post(nothing), 400)).code).toBe("bad_request");
  });

  test("are nothing where one document is asked for", async () => {
    const response = await call("POST", "/v1/images/missing", {
      key: client,
      body: '{"sha256": []}',
      headers: { "content-type": "application/x-ndjson" },
    });
    expect((await expectError(response, 415)).code).toBe("unsupported_type");
  });
});

test("a body of a type that is not taken is refused, one that tells no type is JSON", async () => {
  const body = JSON.stringify({ events: [testEvent("typed")] });
  for (const type of [
    "text/html",
    "application/xml",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
  ]) {
    const response = await call("POST", "/v1/failures", { key: client, body, headers: { "content-type": type } });
    expect((await expectError(response, 415)).code, type).toBe("unsupported_type");
  }
  const untold = new TextEncoder().encode(body);
  await expectJson(await call("POST", "/v1/failures", { key: client, body: untold }));
});

/** The app, called without the test's network, on bindings of one's own. */
async function callApp(
  bindings: Partial<typeof env>,
  path: string,
  json: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  const request = new Request(`https://edge.test${path}`, {
    method: json === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${json === undefined ? ADMIN_KEY : client}`, ...headers },
    ...(json !== undefined && { body: JSON.stringify(json) }),
  });
  const context = createExecutionContext();
  const response = await buildApp().fetch(request, { ...env, ...bindings }, context);
  await waitOnExecutionContext(context);
  return response;
}

/** The database, but every statement fails with this message. */
function failing(message: string): D1Database {
  const prepare = () => {
    throw new Error(message);
  };
  return new Proxy(env.DB, {
    get: (db, name) => (name === "prepare" ? prepare : (Reflect.get(db, name) as () => unknown).bind(db)),
  });
}

describe("a failure of ours", () => {
  test("that will pass is 503 with a time to come again", async () => {
    const DB = failing("D1_ERROR: D1 DB is overloaded. Too many requests queued.");
    const response = await callApp({ DB }, "/v1/images/missing", { sha256: [] });
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await expectError(response, 503)).code).toBe("overloaded");
  });

  test("that was not foreseen is 500 with a request id, and tells nothing else", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const DB = failing("no such table: internal_secrets");
    const response = await callApp({ DB }, "/v1/policy", undefined, { "x-private": "private words" });
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

describe("health", () => {
  /** An object whose calls all fail. */
  const broken = <T extends object>(what: T): T =>
    new Proxy(what, {
      get: () => () => {
        throw new Error("gone");
      },
    });
  const health = async (path: string, bindings: Partial<typeof env>) => {
    const response = await buildApp().request(path, {}, { ...env, ...bindings });
    return [response.status, await response.json()];
  };

  test("is told of the Worker alone, whatever has become of the rest", async () => {
    expect(await health("/healthz", { DB: broken(env.DB), BLOBS: broken(env.BLOBS) })).toEqual([200, { ok: true }]);
  });

  test("is readiness when both stores answer, and says which does not", async () => {
    expect(await health("/readyz", {})).toEqual([200, { ready: true, database: true, blobs: true }]);
    expect(await health("/readyz", { DB: broken(env.DB) })).toEqual([
      503,
      { ready: false, database: false, blobs: true },
    ]);
    expect(await health("/readyz", { BLOBS: broken(env.BLOBS) })).toEqual([
      503,
      { ready: false, database: true, blobs: false },
    ]);
  });

  test("is not waited for without end", async () => {
    const silent = new Proxy(env.BLOBS, { get: () => () => new Promise(() => {}) });
    expect(await health("/readyz", { BLOBS: silent })).toEqual([503, { ready: false, database: true, blobs: false }]);
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
    const body = { events: [testEvent("logged", { response: "private words" }), {}] };
    const response = await callApp({}, "/v1/failures?token=nm_secret-in-query", body);
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
      invalid: 1,
    });
    for (const secret of [client, "private words", "nm_secret-in-query"]) expect(line).not.toContain(secret);
  });

  test("has the caller's own name for the request, if it is one", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const lineFor = async (name: string) => {
      const response = await call("GET", "/healthz", { headers: { "x-request-id": name } });
      const line = JSON.parse(String(log.mock.lastCall?.[0]));
      expect(response.headers.get("x-request-id")).toBe(line.requestId);
      return line;
    };
    expect(await lineFor("app-7.req_42")).toMatchObject({ clientRequestId: "app-7.req_42" });
    for (const name of ["", "two words", 'a"b', "x".repeat(65), "nm/secret"]) {
      const line = await lineFor(name);
      expect(line).not.toHaveProperty("clientRequestId");
      expect(line.requestId).not.toBe(name);
    }
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
