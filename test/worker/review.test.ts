import { beforeEach, describe, expect, test } from "vitest";
import type { z } from "zod";
import type { failureRow, intakeResponse } from "../../shared/contracts/review.ts";
import {
  ADMIN_KEY,
  call,
  countRows,
  createKey,
  expectError,
  expectJson,
  freshLanguage,
  makePng,
  postEvents,
  prompt,
  regionCounts,
  rowsOf,
  sha256Of,
  testEvent,
} from "./support.ts";

/** What a client could not say is asked of a person; what waits is seen, and nothing is swallowed. */

type Failure = z.infer<typeof failureRow>;

let language: string;
beforeEach(() => {
  language = freshLanguage();
});
const unanswered = (eventId: string, fields: Record<string, unknown> = {}) =>
  testEvent(eventId, { language, reference: undefined, ...fields });

async function waiting(): Promise<Failure[]> {
  const all: Failure[] = [];
  for (let after: string | null = ""; after !== null; ) {
    const query: string = after === "" ? "" : `&after=${after}`;
    const response = await call("GET", `/v1/failures?state=waiting&limit=3${query}`, { key: ADMIN_KEY });
    const page: { failures: Failure[]; next: string | null } = await expectJson(response);
    all.push(...page.failures);
    after = page.next;
  }
  return all;
}

const answer = (id: string, text: string) =>
  call("POST", `/v1/failures/${id}/answer`, { key: ADMIN_KEY, json: { answer: text } });

test("events without a right answer wait, page by page, each once, with all that is known of them", async () => {
  const client = await createKey(["ingest"]);
  const png = await makePng({ width: 2, height: 2 }, 7);
  const here = await sha256Of(png);
  await expectJson(await call("PUT", `/v1/images/${here}`, { key: client.key, body: png }), 201);
  const gone = "ab".repeat(32);
  await postEvents(client.key, [
    unanswered("w1", { reason: "wrong", conversation: prompt("How many?", here, gone, gone) }),
    unanswered("w2", { rating: "down" }),
    unanswered("praised", { rating: "up" }),
    testEvent("told", { language }),
    ...[3, 4, 5, 6, 7].map((n) => unanswered(`w${n}`)),
  ]);
  const ours = (await waiting()).filter((row) => row.clientId === client.clientId);
  expect(ours.map((row) => row.eventId)).toEqual(["w1", "w2", "w3", "w4", "w5", "w6", "w7"]);
  expect(ours[0]).toMatchObject({ verdict: "unjudged", details: { reason: "wrong", language }, missingImages: [gone] });
  expect(ours[1]).toMatchObject({ verdict: "wrong", reference: null });
  const one = await call("GET", `/v1/failures/${ours[0]?.id}`, { key: ADMIN_KEY });
  expect(await expectJson(one)).toEqual(ours[0]);
});

describe("a right answer given afterwards", () => {
  async function reported(eventId: string, fields: Record<string, unknown> = {}) {
    const client = await createKey(["ingest"]);
    await postEvents(client.key, [unanswered(eventId, fields)]);
    const row = (await waiting()).find((one) => one.clientId === client.clientId);
    if (!row) throw new Error("it does not wait");
    return { client, row };
  }

  test("makes a source, and lets an event count that was not judged", async () => {
    const { client, row } = await reported("ask");
    expect(await regionCounts(language)).toEqual({});
    const told = await expectJson<Failure>(await answer(row.id, "There are two dogs."));
    expect(told).toMatchObject({ verdict: "wrong", reference: "There are two dogs.", answeredBy: "bootstrap" });
    expect(await rowsOf("sources", client.clientId, "ask")).toEqual([
      expect.objectContaining({ answer: "There are two dogs.", own_answer: "There are three dogs.", split: "train" }),
    ]);
    expect(await regionCounts(language)).toEqual({
      "counting/count-near/image": { failures: 1, counted: 0.5, exposures: 1 },
    });
    expect((await waiting()).some((one) => one.id === row.id)).toBe(false);
  });

  test("counts nothing again where the client had said that the response is wrong", async () => {
    const { client, row } = await reported("blamed", { rating: "down" });
    const before = await regionCounts(language);
    await expectJson(await answer(row.id, "There are nine dogs."));
    expect(await regionCounts(language)).toEqual(before);
    expect(await rowsOf("sources", client.clientId, "blamed")).toHaveLength(1);
  });

  test("that equals the response makes it right", async () => {
    const { client, row } = await reported("fine");
    expect(await expectJson(await answer(row.id, "there are THREE dogs"))).toMatchObject({ verdict: "right" });
    expect(await rowsOf("sources", client.clientId, "fine")).toEqual([expect.objectContaining({ own_answer: null })]);
    expect((await regionCounts(language))["counting/count-near/image"]).toEqual({
      failures: 0,
      counted: 0,
      exposures: 1,
    });
  });

  test("is given once, also by eight people at once", async () => {
    const { client, row } = await reported("race");
    const audits = await countRows("audit_log");
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => answer(row.id, `There are ${i + 10} dogs.`)));
    expect(answers.map((response) => response.status).sort()).toEqual([200, ...Array(7).fill(409)]);
    expect(await rowsOf("sources", client.clientId, "race")).toHaveLength(1);
    expect((await regionCounts(language))["counting/count-far/image"] ?? { failures: 1 }).toMatchObject({
      failures: 1,
    });
    expect(await countRows("audit_log")).toBe(audits + 1);
  });

  test("needs an event that waits", async () => {
    const { row } = await reported("strict");
    await expectError(await answer("t0", "Two."), 404);
    await expectError(await answer(row.id, " \n"), 400);
    const client = await createKey(["ingest"]);
    await postEvents(client.key, [testEvent("held", { language, reference: undefined, adapter: "f".repeat(64) })]);
    const [held] = await rowsOf("failures", client.clientId, "held");
    await expectError(await answer(String(held?.id), "Two."), 409);
  });
});

test("the intake tells what waits, what is held, and what it answered so far", async () => {
  const client = await createKey(["ingest"]);
  const look = async () =>
    expectJson<z.infer<typeof intakeResponse>>(await call("GET", "/v1/intake", { key: ADMIN_KEY }));
  const before = await look();
  await postEvents(client.key, [
    unanswered("waits"),
    unanswered("waits"),
    testEvent("unknown", { language, adapter: "d".repeat(64) }),
    { eventId: "bad" },
  ]);
  const after = await look();
  expect(after.waiting).toBe(before.waiting + 1);
  expect(after.held["unknown-adapter"]).toBe((before.held["unknown-adapter"] ?? 0) + 1);
  expect(after.events.stored).toBe(before.events.stored + 2);
  expect(after.events.duplicate).toBe(before.events.duplicate + 1);
  expect(after.events.invalid).toBe(before.events.invalid + 1);
  expect(after).toMatchObject({ queuedRequests: 0, oldestQueuedMs: null });
});
