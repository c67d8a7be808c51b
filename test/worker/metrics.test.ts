import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { EVENT_STATUSES } from "../../shared/contracts/ingest.ts";
import { addMetricsStatement } from "../../workers/store/metrics.ts";
import { call, createKey, postEvents, testEvent } from "./support.ts";

let observer: string;
beforeAll(async () => {
  observer = (await createKey(["observe"])).key;
});

/** The samples as a scraper reads them. */
async function scrape(): Promise<Map<string, number>> {
  const response = await call("GET", "/metrics", { key: observer });
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const lines = (await response.text()).trimEnd().split("\n");
  const samples = lines.filter((line) => !line.startsWith("#"));
  for (const line of lines)
    expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+)$/);
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

const counted = (status: string) => `nearmiss_intake_events_total{status="${status}"}`;

describe("metrics", () => {
  test("tell zero of what never happened", async () => {
    const samples = await scrape();
    for (const status of EVENT_STATUSES) expect(samples.get(counted(status)), status).toBe(0);
    expect(samples.get("nearmiss_intake_seconds_count")).toBe(0);
    expect(samples.get("nearmiss_intake_queue_blobs")).toBe(0);
    expect(samples.get("nearmiss_intake_queue_age_seconds")).toBe(0);
    expect(samples.get("nearmiss_failures_waiting")).toBe(0);
    expect(samples.get('nearmiss_failures_held{reason="unknown-adapter"}')).toBe(0);
  });

  test("count events by what was answered, and how long that took", async () => {
    const client = (await createKey(["ingest"])).key;
    const event = testEvent("counted");
    await postEvents(client, [event, testEvent("waiting", { reference: undefined, rating: "down" }), {}]);
    await postEvents(client, [event, { ...event, response: "There are nine dogs." }]);
    await postEvents(client, [testEvent("held", { adapter: "f".repeat(64) })]);
    const samples = await scrape();
    expect(samples.get(counted("stored"))).toBe(3);
    expect(samples.get(counted("duplicate"))).toBe(1);
    expect(samples.get(counted("conflict"))).toBe(1);
    expect(samples.get(counted("invalid"))).toBe(1);
    expect(samples.get("nearmiss_failures_waiting")).toBe(1);
    expect(samples.get('nearmiss_failures_held{reason="unknown-adapter"}')).toBe(1);
    expect(samples.get("nearmiss_intake_seconds_count")).toBe(3);
    expect(samples.get('nearmiss_intake_seconds_bucket{le="+Inf"}')).toBe(3);
    const buckets = [...samples].filter(([name]) => name.startsWith("nearmiss_intake_seconds_bucket"));
    expect(buckets.map(([name]) => name).at(-1)).toContain("+Inf");
    const values = buckets.map(([, value]) => value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });

  test("add what is stored already to what is not yet, and never fall", async () => {
    const before = (await scrape()).get(counted("stored")) ?? 0;
    const rows = [{ name: "nearmiss_intake_events_total", labels: 'status="stored"', value: 40 }];
    await addMetricsStatement(env.DB, rows).run();
    await addMetricsStatement(env.DB, [
      { name: "nearmiss_intake_events_total", labels: 'status="stored"', value: 2 },
    ]).run();
    expect((await scrape()).get(counted("stored"))).toBe(before + 42);
  });

  test("tell how many requests wait in the blob store, and how long the oldest has", async () => {
    const name = (at: number) => `intake/${String(at).padStart(16, "0")}-${crypto.randomUUID()}.json`;
    await env.BLOBS.put(name(Date.now() - 90_000), "{}");
    await env.BLOBS.put(name(Date.now()), "{}");
    const samples = await scrape();
    expect(samples.get("nearmiss_intake_queue_blobs")).toBe(2);
    expect(samples.get("nearmiss_intake_queue_age_seconds")).toBeGreaterThanOrEqual(90);
    expect(samples.get("nearmiss_intake_queue_age_seconds")).toBeLessThan(150);
  });
});
