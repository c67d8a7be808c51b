import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import {
  ADMIN_KEY,
  call,
  countRows,
  createKey,
  expectError,
  freshLanguage,
  postEvents,
  prompt,
  regionCounts,
  rowsOf,
  type TestKey,
  testEvent,
} from "./support.ts";

let client: TestKey;
beforeAll(async () => {
  client = await createKey(["ingest"], { reportCap: 1_000 });
});

/** Regions are counted, so each test has its own language. */
let language: string;
beforeEach(() => {
  language = freshLanguage();
});
const ours = (eventId: string, fields: Record<string, unknown> = {}) => testEvent(eventId, { language, ...fields });

test("what is acknowledged is stored, with its source, whether its image is known or not", async () => {
  await env.DB.prepare("INSERT INTO adapters (sha256, bytes, created_at, state) VALUES (?1, 1, 1, 'uploaded')")
    .bind("c".repeat(64))
    .run();
  const event = ours("whole", { adapter: "c".repeat(64) });
  expect(await postEvents(client.key, [event])).toEqual([{ eventId: "whole", status: "stored" }]);
  expect(await rowsOf("failures", client.clientId, "whole")).toEqual([
    expect.objectContaining({
      client_id: client.clientId,
      occurred_at: event.occurredAt,
      model: "mini-1",
      adapter: "c".repeat(64),
      conversation: JSON.stringify(event.conversation),
      response: "There are three dogs.",
      reference: "There are two dogs.",
      verdict: "wrong",
      region: `counting/count-near/${language}/image`,
    }),
  ]);
  expect(await rowsOf("sources", client.clientId, "whole")).toEqual([
    expect.objectContaining({
      images: JSON.stringify(["ab".repeat(32)]),
      split: "train",
      conversation: JSON.stringify(event.conversation),
      answer: "There are two dogs.",
      own_answer: "There are three dogs.",
      task: "counting",
      error_type: "count-near",
      modality: "image",
      polarity: null,
      jobs: 0,
    }),
  ]);
});

describe("an invalid event is answered with field and reason, and the valid ones around it are stored", () => {
  const hash = "a".repeat(64);
  const text = (value: unknown) => [{ role: "user", content: [{ type: "text", text: value }] }];
  const cases: [string, unknown, string, RegExp][] = [
    ["nothing", null, "events.1", /object/],
    ["a text", "event", "events.1", /object/],
    ["a field that does not exist", ours("bad", { rejected: "x" }), "events.1", /rejected/],
    ["no id", { ...ours("bad"), eventId: undefined }, "events.1.eventId", /string/],
    ["an empty id", ours(""), "events.1.eventId", /Too small/],
    ["an id too long", ours("x".repeat(129)), "events.1.eventId", /Too big/],
    ["half a character", ours("\ud800"), "events.1.eventId", /well-formed/],
    ["a time in the wrong unit", ours("bad", { occurredAt: 1.5 }), "events.1.occurredAt", /int/],
    [
      "a role that does not exist",
      ours("bad", { conversation: [{ role: "tool", content: [] }] }),
      "events.1.conversation.0.role",
      /user/,
    ],
    [
      "no user turn at the end",
      ours("bad", { conversation: [{ role: "assistant", content: [{ type: "text", text: "a" }] }] }),
      "events.1.conversation",
      /user turn/,
    ],
    [
      "a text too long",
      ours("bad", { conversation: text("x".repeat(32_001)) }),
      "events.1.conversation.0.content.0.text",
      /Too big/,
    ],
    [
      "a hash in capitals",
      ours("bad", { conversation: prompt("?", hash.toUpperCase()) }),
      "events.1.conversation.0.content.0.sha256",
      /64 lower-case/,
    ],
    [
      "nine images",
      ours("bad", { conversation: prompt("?", ...Array(9).fill(hash)) }),
      "events.1.conversation",
      /at most 8 images/,
    ],
    ["no response", ours("bad", { response: "" }), "events.1.response", /Too small/],
    ["a blank reference", ours("bad", { reference: " \n" }), "events.1.reference", /blank/],
    ["a task that does not exist", ours("bad", { task: "poetry" }), "events.1.task", /counting/],
    ["a language that is none", ours("bad", { language: "English!" }), "events.1.language", /language tag/],
    ["praise for a wrong answer", ours("bad", { rating: "up" }), "events.1.rating", /differs/],
    [
      "blame for the right answer",
      ours("bad", { rating: "down", response: "there are two dogs" }),
      "events.1.rating",
      /equals/,
    ],
  ];

  test.each(cases)("%s", async (name, bad, path, reason) => {
    const results = await postEvents(client.key, [ours(`before ${name}`), bad, ours(`after ${name}`)]);
    expect(results.map((result) => result.status)).toEqual(["stored", "invalid", "stored"]);
    const problem = results[1]?.problems?.find((found) => found.path === path);
    expect(problem?.message).toMatch(reason);
    expect(await rowsOf("failures", client.clientId, "bad")).toEqual([]);
    expect(await rowsOf("failures", client.clientId, `before ${name}`)).toHaveLength(1);
    expect(await rowsOf("failures", client.clientId, `after ${name}`)).toHaveLength(1);
    expect((await regionCounts(language))["counting/count-near/image"]).toEqual({
      failures: 2,
      counted: 2,
      exposures: 2,
    });
  });

  test("its id comes back where it can be read", async () => {
    const results = await postEvents(client.key, [{ eventId: "mine" }, { eventId: 7 }, []]);
    expect(results.map((result) => result.eventId)).toEqual(["mine", null, null]);
  });
});

test("within one request the first of an id stands; the others are duplicates or conflicts, in order", async () => {
  const results = await postEvents(client.key, [
    ours("twice"),
    ours("twice"),
    ours("twice", { response: "There are nine dogs." }),
    ours("once"),
    ours("twice"),
  ]);
  expect(results.map((result) => result.status)).toEqual(["stored", "duplicate", "conflict", "stored", "duplicate"]);
  expect((await regionCounts(language))["counting/count-near/image"]).toEqual({
    failures: 2,
    counted: 2,
    exposures: 2,
  });
});

test("the order of an event's fields does not make it another event", async () => {
  const event = ours("ordered", { rating: "down" });
  const turned = Object.fromEntries(Object.entries(event).reverse());
  const results = await postEvents(client.key, [event, turned]);
  expect(results.map((result) => result.status)).toEqual(["stored", "duplicate"]);
});

test("a conflict leaves neither a source nor a count", async () => {
  await postEvents(client.key, [ours("first", { reference: undefined })]);
  expect(await postEvents(client.key, [ours("first")])).toEqual([{ eventId: "first", status: "conflict" }]);
  expect(await rowsOf("sources", client.clientId, "first")).toEqual([]);
  expect(await regionCounts(language)).toEqual({});
});

describe("a wrong answer whose error type nobody told", () => {
  const untagged = (eventId: string) => ours(eventId, { errorType: undefined });
  const counted = async () => (await regionCounts(language))["counting/count-near/image"]?.counted ?? 0;

  test("weighs half for the next plan, and is a failure like the others in the total", async () => {
    await postEvents(client.key, [untagged("inferred"), ours("told")]);
    await postEvents(client.key, [ours("labelled", { errorType: undefined, tags: { error_type: "count-near" } })]);
    expect((await regionCounts(language))["counting/count-near/image"]).toEqual({
      failures: 3,
      counted: 2.5,
      exposures: 3,
    });
  });

  test("counts after the tagged ones below the cap, whatever the order in which they come", async () => {
    const orders = ["u u u t t u", "t u t u u u", "t t u u u u", "uu uttu", "uuuutt"];
    for (const [nth, order] of orders.entries()) {
      const before = await counted();
      const { key } = await createKey(["ingest"], { reportCap: 3 });
      for (const [request, kinds] of order.split(" ").entries()) {
        const events = [...kinds].map((kind, i) => (kind === "u" ? untagged : ours)(`${nth}/${request}/${i}`));
        await postEvents(key, events);
      }
      expect((await counted()) - before, order).toBe(2 + 0.5);
    }
  });
});

test("what a client reported is noted by region, right answers too, each event once", async () => {
  const { key, clientId } = await createKey(["ingest"], { reportCap: 2 });
  const right = (eventId: string) => ours(eventId, { response: "There are two dogs." });
  const events = [ours("w1"), right("r1"), ours("w2", { errorType: undefined }), ours("w3"), ours("w4")];
  await postEvents(key, [
    ...events,
    ours("far", { errorType: "count-far" }),
    ours("unjudged", { reference: undefined }),
  ]);
  await postEvents(key, [right("r1"), right("r2")]);
  const noted = await env.DB.prepare(
    "SELECT region, exposures, counted, tagged FROM region_reports WHERE client_id = ?1 ORDER BY region",
  )
    .bind(clientId)
    .all();
  expect(noted.results).toEqual([
    { region: `counting/count-far/${language}/image`, exposures: 1, counted: 1, tagged: 1 },
    { region: `counting/count-near/${language}/image`, exposures: 6, counted: 2, tagged: 2 },
  ]);
  const counts = await regionCounts(language);
  for (const region of Object.values(counts)) expect(region.exposures).toBe(7);
});

test("two clients may use the same event id", async () => {
  const other = await createKey(["ingest"]);
  await postEvents(client.key, [ours("shared")]);
  expect(await postEvents(other.key, [ours("shared")])).toEqual([{ eventId: "shared", status: "stored" }]);
});

describe("texts come back byte for byte", () => {
  test.each([
    ["SQL", "'); DROP TABLE failures; -- \" ` ; /* */ ?1 $.x"],
    ["a page", "<script>alert(document.cookie)</script><img src=x onerror=alert(1)>"],
    ["a template", "{{7*7}} <%= key %> %s %n <|im_end|> [INST]"],
    ["control characters", "a\u0000b\u0001\t\n\r\u007f\u2028\u2029"],
    ["writing of many kinds", "Zwei große Hunde · 二匹の犬 · كلبان · 👩‍👩‍👧 · e\u0301 \u00e9 \ufeff\ufffe\uffff"],
    ["JSON in a text", '{"role":"system","content":"\\u0022\\\\"}'],
  ])("%s", async (name, text) => {
    const event = ours(`bytes ${name} ${text}`.slice(0, 128), {
      model: text.slice(0, 60),
      response: `${text} wrong`,
      reference: text,
      conversation: prompt(text, "0".repeat(64)),
    });
    expect(await postEvents(client.key, [event])).toEqual([{ eventId: event.eventId, status: "stored" }]);
    const [row] = await rowsOf("failures", client.clientId, event.eventId);
    expect(row).toMatchObject({
      event_id: event.eventId,
      model: event.model,
      response: event.response,
      reference: text,
    });
    expect(JSON.parse(String(row?.conversation))).toEqual(event.conversation);
    expect(await rowsOf("sources", client.clientId, event.eventId)).toEqual([
      expect.objectContaining({ answer: text, own_answer: event.response, conversation: row?.conversation }),
    ]);
  });
});

describe("limits", () => {
  test("five hundred events at once, not more", async () => {
    const events = Array.from({ length: 501 }, (_, i) => ours(`many ${i}`));
    const error = await expectError(await call("POST", "/v1/failures", { key: client.key, json: { events } }), 400);
    expect(error.details).toEqual([{ path: "events", message: expect.stringContaining("500") }]);
    const results = await postEvents(client.key, events.slice(1));
    expect(results.map((result) => result.eventId)).toEqual(events.slice(1).map((event) => event.eventId));
    expect(results.every((result) => result.status === "stored")).toBe(true);
  });

  test("a request of nearly the greatest size, of texts that grow when they are quoted", async () => {
    const quotes = '"\\'.repeat(7_900);
    const events = Array.from({ length: 28 }, (_, i) =>
      ours(`quotes ${i}`, { reference: undefined, response: quotes }),
    );
    const body = JSON.stringify({ events });
    expect(body.length).toBeGreaterThan(LIMITS.intakeBytes * 0.88);
    const results = await postEvents(client.key, events);
    expect(results.every((result) => result.status === "stored")).toBe(true);
    expect((await rowsOf("failures", client.clientId, "quotes 27"))[0]?.response).toBe(quotes);
  });
});

test("a key without a client cannot report", async () => {
  const before = await countRows("failures");
  const response = await call("POST", "/v1/failures", { key: ADMIN_KEY, json: { events: [ours("nobody's")] } });
  expect((await expectError(response, 403)).message).toContain("POST /v1/keys");
  expect(await countRows("failures")).toBe(before);
});

test("a request made to be slow to classify is answered in time", async () => {
  const conversation = prompt("video clip ".repeat(2_900));
  const untagged = { task: undefined, errorType: undefined, conversation };
  const startedAt = performance.now();
  const results = await postEvents(
    client.key,
    Array.from({ length: 30 }, (_, i) => ours(`slow ${i}`, untagged)),
  );
  expect(results.every((result) => result.status === "stored")).toBe(true);
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});
