import { env, exports } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { Reporter } from "../../client/src/index.ts";
import { SCENARIOS } from "../client-scenarios/index.ts";
import { Intakes } from "../client-scenarios/intake.ts";
import { failure } from "../client-scenarios/world.ts";
import { countRows, createKey, makePng, rowsOf, sha256Of } from "./support.ts";

/** The client inside workerd: against whatever misbehaves, and against the Worker itself. */

const intakes = new Intakes();
const world = {
  origin: "https://intake.test",
  deadOrigin: "https://nobody.test",
  fetch: async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    if (new URL(request.url).hostname === "nobody.test") throw new TypeError("nobody answers");
    return intakes.answer(request);
  },
};

test.each(SCENARIOS)("$name", { timeout: 60_000 }, ({ run }) => run(world));

const open: Reporter[] = [];
afterEach(async () => {
  for (const reporter of open.splice(0)) await reporter.close(0);
});

async function reporterOf(scopes: Parameters<typeof createKey>[0]) {
  const { key, clientId } = await createKey(scopes);
  const requests: string[] = [];
  const encodings = new Set<string | null>();
  const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    requests.push(`${request.method} ${new URL(request.url).pathname}`);
    encodings.add(request.headers.get("content-encoding"));
    return exports.default.fetch(request);
  };
  const reporter = new Reporter({
    baseUrl: "https://edge.test",
    key,
    fetch,
    lingerMs: 5,
    retryFirstMs: 10,
    retryMaxMs: 100,
  });
  open.push(reporter);
  return { reporter, clientId, requests, encodings };
}

test("the Worker stores what the client reports, once, with its images, and says of each bad event why", async () => {
  const { reporter, clientId, requests } = await reporterOf(["ingest"]);
  const png = await makePng({ width: 8, height: 8 }, 77);
  const hash = await sha256Of(png);
  const conversation = (image: { sha256: string } | { image: number }) => [
    {
      role: "user" as const,
      content: [
        { type: "image" as const, ...image },
        { type: "text" as const, text: "How many dogs?" },
      ],
    },
  ];
  const bytes = new Uint8Array(png).buffer;
  const first = reporter.report(failure({ conversation: conversation({ sha256: hash }), correction: "Two." }), {
    [hash]: bytes,
  });
  const second = reporter.report(failure({ conversation: conversation({ image: 0 }), reference: "Two." }), [
    new Blob([bytes]),
  ]);
  const bad = reporter.report(failure({ conversation: [] }));
  expect(await reporter.flush(20_000)).toBe(true);
  expect(reporter.stats()).toMatchObject({ stored: 2, invalid: 1, waiting: 0, images: 1, failedRequests: 0 });
  expect(requests).toEqual(["POST /v1/images/missing", `PUT /v1/images/${hash}`, "POST /v1/failures"]);
  for (const id of [first, second]) expect(await rowsOf("failures", clientId, id ?? "")).toHaveLength(1);
  expect(await rowsOf("failures", clientId, bad ?? "")).toHaveLength(0);
  const images = await env.DB.prepare("SELECT COUNT(*) AS n FROM images WHERE sha256 = ?1")
    .bind(hash)
    .first<{ n: number }>();
  expect(images?.n).toBe(1);
  reporter.report(failure({ eventId: first ?? "", occurredAt: 1 }));
  expect(await reporter.flush(20_000)).toBe(true);
  expect(reporter.stats()).toMatchObject({ stored: 2, conflict: 1 });
});

test("a thousand events reach the Worker in zipped batches", async () => {
  const { reporter, encodings } = await reporterOf(["ingest"]);
  const before = await countRows("failures");
  for (let n = 0; n < 1_000; n++)
    reporter.report(failure({ response: `There are ${n} dogs.`, reference: "There are none." }));
  expect(await reporter.flush(30_000)).toBe(true);
  expect(reporter.stats()).toMatchObject({ stored: 1_000, waiting: 0 });
  expect(encodings).toEqual(new Set(["gzip"]));
  expect((await countRows("failures")) - before).toBe(1_000);
}, 60_000);

test("the Worker takes the client's pairs", async () => {
  const { reporter } = await reporterOf(["ingest"]);
  const { model, conversation } = failure();
  reporter.reportPair({
    model,
    conversation,
    responses: [
      { text: "Two dogs.", reward: 0.4 },
      { text: "Three dogs.", reward: 0.1 },
    ],
  });
  expect(await reporter.flush(20_000)).toBe(true);
  expect(reporter.stats()).toMatchObject({ stored: 1, waiting: 0 });
});

test("without the scope, events are kept and the Worker is left alone", async () => {
  const { reporter, requests } = await reporterOf(["observe"]);
  reporter.report(failure());
  expect(await reporter.flush(500)).toBe(false);
  expect(requests.length).toBeLessThanOrEqual(2);
  expect(reporter.stats().waiting).toBe(1);
});
