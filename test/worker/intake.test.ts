import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EventResult } from "../../shared/contracts/ingest.ts";
import { DEFAULT_POLICY, type IntakePolicy } from "../../shared/contracts/policy.ts";
import type { Env } from "../../workers/env.ts";
import type { Actor } from "../../workers/http/context.ts";
import type { Intake } from "../../workers/ingest/intake.ts";
import { allMetrics } from "../../workers/ingest/intake-counters.ts";
import { intakeObject } from "../../workers/ingest/intake-object.ts";
import { lookAtQueue, onIntakeMessages, sweepOverflow } from "../../workers/ingest/overflow.ts";
import { submitEvents } from "../../workers/ingest/submit.ts";
import {
  ADMIN_KEY,
  call,
  countRows,
  createKey,
  expectError,
  expectJson,
  freshLanguage,
  postEvents,
  prompt,
  regionCounts,
  rowsOf,
  type TestKey,
  testEvent,
} from "./support.ts";

let language: string;
beforeEach(() => {
  language = freshLanguage();
});
const ours = (eventId: string, fields: Record<string, unknown> = {}) => testEvent(eventId, { language, ...fields });

async function setIntakePolicy(change: Partial<IntakePolicy>) {
  const { version } = await expectJson<{ version: number }>(await call("GET", "/v1/policy", { key: ADMIN_KEY }));
  const document = { ...DEFAULT_POLICY, intake: { ...DEFAULT_POLICY.intake, ...change } };
  const json = { version, document, reason: "test" };
  await expectJson(await call("PUT", "/v1/policy", { key: ADMIN_KEY, json }));
}

describe("low-reward pairs", () => {
  const pairOf = (eventId: string, better: number, worse: number) => {
    const { response: _, reference: __, ...rest } = ours(eventId);
    return {
      ...rest,
      responses: [
        { text: "There are three dogs.", reward: worse },
        { text: "There are two dogs.", reward: better },
      ],
    };
  };
  const post = async (key: string, events: readonly unknown[]) =>
    (await expectJson<{ results: EventResult[] }>(await call("POST", "/v1/pairs", { key, json: { events } }))).results;

  test("with a better response that is good enough become a wrong answer with its right one", async () => {
    const client = await createKey(["ingest"]);
    expect(await post(client.key, [pairOf("good", 0.9, 0.2)])).toEqual([{ eventId: "good", status: "stored" }]);
    const [row] = await rowsOf("failures", client.clientId, "good");
    expect(row).toMatchObject({ kind: "pair", response: "There are three dogs.", reference: "There are two dogs." });
    expect(await rowsOf("sources", client.clientId, "good")).toEqual([
      expect.objectContaining({ answer: "There are two dogs.", own_answer: "There are three dogs." }),
    ]);
    expect(await regionCounts(language)).toEqual({
      "counting/count-near/image": { failures: 1, counted: 1, exposures: 1 },
    });
  });

  test("without one wait for a person, with both responses kept", async () => {
    const client = await createKey(["ingest"]);
    await post(client.key, [pairOf("poor", 0.3, 0.2)]);
    const [row] = await rowsOf("failures", client.clientId, "poor");
    expect(row).toMatchObject({ verdict: "unjudged", reference: null });
    expect(JSON.parse(String(row?.details)).responses).toHaveLength(2);
    expect(await rowsOf("sources", client.clientId, "poor")).toEqual([]);
    expect(await regionCounts(language)).toEqual({});
  });

  test("share their ids with failures: one id is one event", async () => {
    const client = await createKey(["ingest"]);
    const statuses = async (path: string, event: unknown) => {
      const response = await call("POST", path, { key: client.key, json: { events: [event] } });
      return (await expectJson<{ results: EventResult[] }>(response)).results[0]?.status;
    };
    expect(await statuses("/v1/pairs", pairOf("one", 0.9, 0.2))).toBe("stored");
    expect(await statuses("/v1/pairs", pairOf("one", 0.9, 0.2))).toBe("duplicate");
    expect(await statuses("/v1/pairs", pairOf("one", 0.8, 0.2))).toBe("conflict");
    expect(await statuses("/v1/failures", ours("one"))).toBe("conflict");
  });

  test("of two equal texts, of one response, of a failure, are invalid", async () => {
    const client = await createKey(["ingest"]);
    const twice = { ...pairOf("bad", 1, 0), responses: Array(2).fill({ text: "a", reward: 1 }) };
    const single = { ...pairOf("bad", 1, 0), responses: [{ text: "a", reward: 1 }] };
    const results = await post(client.key, [twice, single, ours("bad")]);
    expect(results.map(({ status, problems }) => [status, problems?.[0]?.path])).toEqual([
      ["invalid", "events.0.responses"],
      ["invalid", "events.1.responses"],
      ["invalid", "events.2.responses"],
    ]);
  });
});

describe("everything that an event says", () => {
  test("is kept: reason, reward, rating, decoding settings, tags, the language as tagged", async () => {
    const client = await createKey(["ingest"]);
    const said = {
      reason: "I count two.",
      reward: -0.5,
      rating: "down",
      decoding: { temperature: 0.2, top_p: 1, seed: 7, greedy: false },
      tags: { page: "/zoo", release: "7.1" },
      correction: "Two.",
      reference: "There are two dogs.",
      language: `${language}-AT`,
    };
    await postEvents(client.key, [ours("said", said)]);
    const [row] = await rowsOf("failures", client.clientId, "said");
    expect(row).toMatchObject({ reference: "Two.", region: `counting/count-near/${language}/image` });
    const { correction: _, ...details } = said;
    expect(JSON.parse(String(row?.details))).toEqual({
      ...details,
      corrected: true,
      language: `${language}-at`,
    });
    await postEvents(client.key, [ours("silent", { language: undefined })]);
    expect((await rowsOf("failures", client.clientId, "silent"))[0]?.details).toBeNull();
  });

  test("may be a video: its frames in order, with their times", async () => {
    const client = await createKey(["ingest"]);
    const frames = [0, 40, 80].map((timeMs, i) => ({ sha256: String(i).repeat(64), timeMs }));
    const conversation = (parts: unknown[]) => [
      {
        role: "user",
        content: [
          { type: "video", frames: parts },
          { type: "text", text: "How many dogs?" },
        ],
      },
    ];
    const results = await postEvents(client.key, [
      ours("film", { conversation: conversation(frames) }),
      ours("back", { conversation: conversation([...frames].reverse()) }),
    ]);
    expect(results[0]?.status).toBe("stored");
    expect(results[1]?.problems).toEqual([
      { path: "events.1.conversation.0.content.0.frames", message: expect.stringMatching(/order/) },
    ]);
    const [row] = await rowsOf("failures", client.clientId, "film");
    expect(JSON.parse(String(row?.images))).toEqual(frames.map((frame) => frame.sha256));
    expect(row?.region).toBe(`counting/count-near/${language}/video`);
  });
});

test("what the policy redacts is never stored, and a retry is still the same event", async () => {
  const client = await createKey(["ingest"]);
  const event = ours("private", {
    response: "Three, says ann@example.org.",
    reference: "Two, says bob@example.org.",
    reason: "ask cy@example.org",
  });
  await setIntakePolicy({ redactions: [{ path: "**", pattern: "\\w+@example\\.org", replacement: "[mail]" }] });
  try {
    expect((await postEvents(client.key, [event]))[0]?.status).toBe("stored");
    expect((await postEvents(client.key, [event]))[0]?.status).toBe("duplicate");
  } finally {
    await setIntakePolicy({});
  }
  expect((await postEvents(client.key, [event]))[0]?.status, "the rules do not make it another one").toBe("duplicate");
  const [row] = await rowsOf("failures", client.clientId, "private");
  expect(row).toMatchObject({ response: "Three, says [mail].", reference: "Two, says [mail].", verdict: "wrong" });
  const stored = JSON.stringify([row, await rowsOf("sources", client.clientId, "private")]);
  expect(stored).not.toContain("example.org");
});

describe("an event that speaks of something unknown", () => {
  const adapter = "e".repeat(64);

  test("is held: it is stored and visible, and counts for nothing until it is released", async () => {
    const client = await createKey(["ingest"]);
    const results = await postEvents(client.key, [ours("held", { adapter }), ours("free")]);
    expect(results).toEqual([
      { eventId: "held", status: "stored", held: "unknown-adapter" },
      { eventId: "free", status: "stored" },
    ]);
    expect(await rowsOf("sources", client.clientId, "held")).toEqual([]);
    const counts = async () => (await regionCounts(language))["counting/count-near/image"];
    expect(await counts()).toEqual({ failures: 1, counted: 1, exposures: 1 });

    const listed = await expectJson<{ failures: { eventId: string; held: string }[] }>(
      await call("GET", "/v1/failures?state=held&limit=500", { key: ADMIN_KEY }),
    );
    expect(listed.failures.filter((row) => row.eventId === "held")).toEqual([
      expect.objectContaining({ held: "unknown-adapter" }),
    ]);

    const release = async () =>
      expectJson<{ released: number; more: boolean }>(
        await call("POST", "/v1/failures/release", { key: ADMIN_KEY, json: { reason: "unknown-adapter" } }),
      );
    expect(await release()).toEqual({ released: 1, more: false });
    expect(await counts()).toEqual({ failures: 2, counted: 2, exposures: 2 });
    expect(await rowsOf("sources", client.clientId, "held")).toHaveLength(1);
    expect(await release()).toEqual({ released: 0, more: false });
    expect(await counts()).toEqual({ failures: 2, counted: 2, exposures: 2 });
  });

  test("weighs half when it is released, if nobody told its error type", async () => {
    const client = await createKey(["ingest"]);
    await postEvents(client.key, [
      ours("untagged", { adapter, errorType: undefined }),
      ours("tagged", { adapter }),
      ours("right", { adapter, errorType: undefined, response: "There are two dogs." }),
    ]);
    await expectJson(
      await call("POST", "/v1/failures/release", { key: ADMIN_KEY, json: { reason: "unknown-adapter" } }),
    );
    expect((await regionCounts(language))["counting/count-near/image"]).toEqual({
      failures: 2,
      counted: 1.5,
      exposures: 3,
    });
  });

  test("of a model that the policy does not know is held too", async () => {
    const client = await createKey(["ingest"]);
    await setIntakePolicy({ models: ["mini-1"] });
    try {
      const results = await postEvents(client.key, [ours("known"), ours("other", { model: "mini-2" })]);
      expect(results.map(({ held }) => held)).toEqual([undefined, "unknown-model"]);
    } finally {
      await setIntakePolicy({});
    }
  });
});

/** The intake's object with other bindings. */
async function intakeWith(bindings: Partial<Env>) {
  await runInDurableObject(intakeObject(env), (intake: Intake) => {
    Object.assign(intake, { env: { ...env, ...bindings } });
  });
}

describe("when the database is too busy", () => {
  const busy = new Proxy(env.DB, {
    get: (db, name) =>
      name === "batch"
        ? () => Promise.reject(new Error("D1_ERROR: D1 DB is overloaded. Too many requests queued."))
        : (Reflect.get(db, name) as () => unknown).bind(db),
  });
  afterEach(() => intakeWith({}));

  test("events are written down and answered as queued, and stored once when it is back", async () => {
    const client = await createKey(["ingest"]);
    await intakeWith({ DB: busy });
    const results = await postEvents(client.key, [ours("later"), { eventId: "bad" }, ours("later too")]);
    expect(results.map(({ status }) => status)).toEqual(["queued", "invalid", "queued"]);
    expect(await rowsOf("failures", client.clientId, "later")).toEqual([]);
    expect((await lookAtQueue(env)).blobs).toBe(1);
    const again = await postEvents(client.key, [ours("later")]);
    expect(
      again.map(({ status }) => status),
      "a retry meanwhile",
    ).toEqual(["queued"]);

    await intakeWith({});
    expect(await sweepOverflow(env, Date.now()), "they are not old enough to count as lost").toBe(0);
    expect(await sweepOverflow(env, Date.now() + 3_600_000)).toBeGreaterThan(0);
    await expect.poll(async () => (await lookAtQueue(env)).blobs, { timeout: 20_000, interval: 200 }).toBe(0);
    for (const id of ["later", "later too"]) {
      expect(await rowsOf("failures", client.clientId, id)).toHaveLength(1);
      expect(await rowsOf("sources", client.clientId, id)).toHaveLength(1);
    }
    expect((await regionCounts(language))["counting/count-near/image"]).toMatchObject({ failures: 2, exposures: 2 });
    expect((await postEvents(client.key, [ours("later")]))[0]?.status).toBe("duplicate");
  });

  test("a message that comes twice, or names what is gone, changes nothing", async () => {
    const client = await createKey(["ingest"]);
    await intakeWith({ DB: busy });
    await postEvents(client.key, [ours("named twice")]);
    const { objects } = await env.BLOBS.list({ prefix: "intake/" });
    await intakeWith({});
    const ended: string[] = [];
    const message = {
      body: { blobs: objects.map(({ key }) => key) },
      ack: () => ended.push("ack"),
      retry: () => ended.push("retry"),
    };
    const batch = { queue: "nearmiss-intake", messages: [message, message] };
    await onIntakeMessages(batch as unknown as Parameters<typeof onIntakeMessages>[0], env);
    expect(ended).toEqual(["ack", "ack"]);
    expect(await rowsOf("failures", client.clientId, "named twice")).toHaveLength(1);
  });

  test("and the blob store is away too, nothing is acknowledged", async () => {
    const client = await createKey(["ingest"]);
    const BLOBS = new Proxy(env.BLOBS, {
      get: (blobs, name) =>
        name === "put"
          ? () => Promise.reject(new Error("away"))
          : (Reflect.get(blobs, name) as () => unknown).bind(blobs),
    });
    await intakeWith({ DB: busy, BLOBS });
    const response = await call("POST", "/v1/failures", { key: client.key, json: { events: [ours("lost")] } });
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await expectError(response, 503)).code).toBe("overloaded");
    expect(await rowsOf("failures", client.clientId, "lost")).toEqual([]);
  });

  test("or the object that commits is away, events are written down all the same", async () => {
    const client = await createKey(["ingest"]);
    const away = () => Promise.reject(Object.assign(new Error("no object"), { retryable: true }));
    const INTAKE = { idFromName: () => ({}), get: () => ({ submitAll: away }) } as unknown as Env["INTAKE"];
    const actor: Actor = {
      kind: "key",
      keyId: client.id,
      clientId: client.clientId,
      reportCap: 3,
      eventsPerMinute: 1_000,
      requestsPerMinute: 1_000,
      scopes: ["ingest"],
    };
    const text = JSON.stringify({ events: [ours("anyway"), null] });
    const answer = await submitEvents(
      { ...env, INTAKE },
      actor,
      "failure",
      { text, isLines: false },
      Date.now(),
      () => {},
    );
    expect(answer.counts).toEqual({ queued: 1, invalid: 1 });
    await expect
      .poll(async () => (await rowsOf("failures", client.clientId, "anyway")).length, {
        timeout: 20_000,
        interval: 200,
      })
      .toBe(1);
  });
});

describe("the limit of events a minute", () => {
  /** A minute that ends while a test counts would let more through. */
  async function earlyInTheMinute() {
    const left = 60_000 - (Date.now() % 60_000);
    if (left < 10_000) await new Promise((resume) => setTimeout(resume, left + 100));
  }
  const limited = async (eventsPerMinute: number) => {
    const json = { client: `limited ${language}`, scopes: ["ingest"], eventsPerMinute };
    return expectJson<TestKey>(await call("POST", "/v1/keys", { key: ADMIN_KEY, json }), 201);
  };

  test("holds exactly, however many requests come at once, and hurts nobody else", { timeout: 90_000 }, async () => {
    await earlyInTheMinute();
    const [client, other] = [await limited(20), await createKey(["ingest"])];
    const send = (key: string, id: string) => call("POST", "/v1/failures", { key, json: { events: [ours(id)] } });
    const ids = Array.from({ length: 50 }, (_, i) => `rush ${i}`);
    const [ours50, theirs] = await Promise.all([
      Promise.all(ids.map((id) => send(client.key, id))),
      Promise.all(ids.map((id) => send(other.key, id))),
    ]);
    expect(ours50.filter((response) => response.status === 200)).toHaveLength(20);
    const refused = ours50.filter((response) => response.status === 429);
    expect(refused).toHaveLength(30);
    for (const response of refused) {
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      expect((await expectError(response, 429)).code).toBe("rate_limited");
    }
    expect(theirs.every((response) => response.status === 200)).toBe(true);
    const stored = await Promise.all(ids.map((id) => rowsOf("failures", client.clientId, id)));
    expect(stored.flat()).toHaveLength(20);
  });

  test("counts events, not requests, the invalid ones too, and refuses a request as a whole", async () => {
    await earlyInTheMinute();
    const client = await limited(10);
    const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => ours(`many ${from + i}`));
    const send = (events: unknown[]) => call("POST", "/v1/failures", { key: client.key, json: { events } });
    await expectJson(await send([...many(0, 5), { eventId: "bad" }]));
    const before = await countRows("failures");
    expect((await expectError(await send(many(5, 11)), 413)).message).toMatch(/10 events/);
    expect((await expectError(await send(many(5, 5)), 429)).message).toMatch(/10 events/);
    expect(await countRows("failures")).toBe(before);
  });
});

test("what is answered is counted for the metrics", async () => {
  const client = await createKey(["ingest"]);
  const counted = async () => {
    const rows = await allMetrics(env);
    const of = (status: string) =>
      rows
        .filter(({ name, labels }) => name === "nearmiss_intake_events_total" && labels === `status="${status}"`)
        .reduce((sum, { value }) => sum + value, 0);
    const requests = rows
      .filter(({ name }) => name === "nearmiss_intake_seconds_count")
      .reduce((sum, { value }) => sum + value, 0);
    return {
      stored: of("stored"),
      duplicate: of("duplicate"),
      conflict: of("conflict"),
      invalid: of("invalid"),
      requests,
    };
  };
  const before = await counted();
  await postEvents(client.key, [ours("m1"), ours("m2"), ours("m1"), ours("m2", { response: "Nine." }), null]);
  await postEvents(client.key, [ours("m1", { conversation: prompt("How many dogs are there?", "ab".repeat(32)) })]);
  const after = await counted();
  const grown = Object.fromEntries(
    Object.entries(after).map(([name, n]) => [name, n - (before as typeof after)[name as keyof typeof after]]),
  );
  expect(grown).toEqual({ stored: 2, duplicate: 2, conflict: 1, invalid: 1, requests: 2 });
  await expect.poll(async () => await countRows("metrics"), { timeout: 10_000, interval: 250 }).toBeGreaterThan(0);
  expect(await counted(), "handing them to the database changes nothing").toEqual(after);
});
