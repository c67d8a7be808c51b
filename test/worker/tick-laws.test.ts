import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { MODALITIES, regionKey, TASK_ERROR_TYPES, TASKS } from "../../shared/taxonomy/taxonomy.ts";
import { DAY_MS } from "../../shared/time.ts";
import { planInputs } from "../../workers/scheduler/inputs.ts";
import { draftTick, runTick } from "../../workers/scheduler/tick.ts";
import { groupRegions, windowsOf } from "../../workers/scheduler/windows.ts";
import { currentPolicy } from "../../workers/store/policy.ts";
import { listRegions } from "../../workers/store/regions.ts";
import {
  emptyLoop,
  imageOf,
  interrupted,
  RecordingQueue,
  rows,
  setPolicy,
  storeJobs,
  storeRegion,
  storeSources,
} from "./fixtures.ts";
import { createKey, postEvents, testEvent } from "./support.ts";
import { watchedDatabase } from "./watched.ts";

/** What holds of every tick, whatever came before it and wherever it is cut off. */

const NOW = 1_790_000_000_000;
const COUNTING = "counting/count-near/en/image";
const COLOUR = "colour/attribute/en/image";

beforeEach(async () => {
  await emptyLoop();
  await setPolicy({ scheduler: { budgetPairs: 20, capShare: 1 } });
});

const request = (slot: string, now = NOW) => ({ slot, now, seed: 7 });
const envWith = (db: D1Database) => ({
  DB: db,
  BLOBS: env.BLOBS,
  EDIT_QUEUE: new RecordingQueue().asBinding(),
});
const tick = (slot: string, { db = env.DB, now = NOW } = {}) => runTick(envWith(db), request(slot, now));
const inputs = async () => planInputs({ DB: env.DB }, (await currentPolicy(env.DB)).document, NOW, 7);
const inputsOf = async (key: string) => (await inputs()).regions.find((region) => region.key === key);

async function storeCounts(count: number): Promise<void> {
  await storeSources(
    Array.from({ length: count }, (_, i) => ({
      id: i.toString(16).padStart(32, "0"),
      images: [imageOf(i)],
      ownAnswer: i % 2 === 0 ? "There are three dogs." : null,
      createdAt: i,
    })),
  );
  await storeRegion("counting", "count-near", 10);
  await storeRegion("colour", "attribute", 4);
  await env.DB.prepare("UPDATE regions SET last_failed_at = ?1").bind(NOW).run();
}

/** A database whose call number `at` fails, before it does anything or after its commit. */
function failingAt(at: number, when: "before" | "after") {
  const state = { failed: false };
  let calls = 0;
  const db = watchedDatabase(async (run) => {
    state.failed = calls++ === at;
    if (state.failed && when === "before") throw new Error("killed");
    const result = await run();
    if (state.failed) throw new Error("killed");
    return result;
  });
  return { db, state };
}

describe("a tick that is killed", () => {
  const everything = async () => ({
    ticks: await rows("SELECT * FROM ticks"),
    jobs: await rows("SELECT * FROM edit_jobs"),
    regions: await rows("SELECT * FROM regions ORDER BY key"),
    reports: await rows("SELECT * FROM region_reports"),
    sources: await rows("SELECT id, jobs FROM sources ORDER BY id"),
  });

  test.each(["before", "after"] as const)(
    "%s any call leaves all or nothing, and goes on to the same plan",
    async (when) => {
      await storeCounts(30);
      const draft = await draftTick({ DB: env.DB }, await currentPolicy(env.DB), request("one"));
      const untouched = await everything();
      let deaths = 0;
      for (let call = 0; ; call++) {
        const { db, state } = failingAt(call, when);
        const made = await tick("one", { db }).catch(() => null);
        if (made && !state.failed) break;
        deaths += 1;
        const left = await everything();
        if (left.ticks.length === 0) expect(left).toEqual(untouched);
        else expect(left.jobs).toHaveLength(20);
      }
      expect(deaths).toBeGreaterThan(1);
      const { row, created } = await tick("one");
      expect(created).toBe(false);
      expect(row).toMatchObject({ inputsSha256: draft.inputsSha256, planSha256: draft.planSha256, jobs: 20 });
      expect(row).toMatchObject({ inputs: draft.texts.inputs, plan: draft.texts.plan });
      expect(await rows("SELECT new_failures FROM regions WHERE new_failures <> 0")).toEqual([]);
    },
  );
});

test("the order of events within a tick, and how they are grouped, does not change a byte of its inputs", async () => {
  const kinds = [
    { response: "There are three dogs." },
    { response: "There are nine dogs.", errorType: "count-far" },
    { response: "There are three dogs.", errorType: undefined },
    { response: "There are two dogs." },
    { task: "colour", errorType: "attribute", response: "It is red.", reference: "It is blue." },
    { task: "existence", errorType: undefined, response: "No.", reference: "Yes." },
  ];
  const events = Array.from({ length: 18 }, (_, i) => ({
    client: i % 3,
    event: testEvent(`e${i}`, { ...kinds[i % kinds.length] }),
  }));
  const order = fc.shuffledSubarray(events, { minLength: events.length });
  const sizes = fc.infiniteStream(fc.integer({ min: 1, max: 9 }));
  let first: string | null = null;
  await fc.assert(
    fc.asyncProperty(order, sizes, async (shuffled, groups) => {
      await emptyLoop();
      const keys = await Promise.all([0, 1, 2].map(() => createKey(["ingest"])));
      for (let rest = shuffled; rest.length > 0; ) {
        const size = groups.next().value ?? 1;
        for (const [client, own] of Map.groupBy(rest.slice(0, size), (one) => one.client)) {
          await postEvents(
            keys[client]?.key ?? "",
            own.map(({ event }) => event),
          );
        }
        rest = rest.slice(size);
      }
      const { row } = await tick("one");
      first ??= row.inputs;
      expect(row.inputs).toBe(first);
    }),
    { numRuns: 5 },
  );
});

test("the number of statements does not grow with the regions", async () => {
  const keys = TASKS.flatMap((task) =>
    TASK_ERROR_TYPES[task].flatMap((errorType) =>
      MODALITIES.map((modality) => ({ task, errorType, language: "en", modality })),
    ),
  ).map((region) => ({ ...region, key: regionKey(region) }));
  const statementsOfTick = async (slot: string) => {
    let statements = 0;
    const db = watchedDatabase(async (run) => {
      const result = await run();
      statements += Array.isArray(result) ? result.length : 1;
      return result;
    });
    await tick(slot, { db });
    return statements;
  };
  await storeCounts(30);
  const few = await statementsOfTick("few");
  await env.DB.prepare(
    `INSERT INTO regions (key, task, error_type, language, modality, created_at, new_failures, new_exposures)
     SELECT value ->> 'key', value ->> 'task', value ->> 'errorType', value ->> 'language', value ->> 'modality', ?2, 1, 9
     FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`,
  )
    .bind(JSON.stringify(keys), NOW)
    .run();
  expect(await statementsOfTick("many")).toBeLessThanOrEqual(few + 4);
  expect((await inputs()).regions).toHaveLength(keys.length);
});

describe("reports of one client", () => {
  async function storeReports(
    client: string,
    cap: number,
    region: string,
    counted: number,
    exposures = counted,
  ): Promise<void> {
    await env.DB.batch([
      env.DB.prepare(
        "INSERT INTO clients (id, name, report_cap, created_at) VALUES (?1, ?1, ?2, 0) ON CONFLICT DO NOTHING",
      ).bind(client, cap),
      env.DB.prepare(
        "INSERT INTO region_reports (client_id, region, counted, tagged, exposures) VALUES (?1, ?2, ?3, ?3, ?4)",
      ).bind(client, region, counted, exposures),
      env.DB.prepare("UPDATE regions SET new_failures = new_failures + ?2 WHERE key = ?1").bind(region, counted),
      env.DB.prepare(
        `UPDATE regions SET new_exposures = new_exposures + ?2
         WHERE (task, language, modality) = (SELECT task, language, modality FROM regions WHERE key = ?1)`,
      ).bind(region, exposures),
    ]);
  }

  test("count once where nobody else reports, unless the operator let it speak for many; all of them are counted off", async () => {
    await storeRegion("counting", "count-near");
    await storeRegion("colour", "attribute");
    for (let i = 0; i < 80; i++) await storeReports(`law-${i}`, 3, COUNTING, 1);
    await storeReports("law-flood", 3, COLOUR, 30);
    expect((await inputsOf(COUNTING))?.newFailures).toBe(80);
    expect((await inputsOf(COLOUR))?.newFailures).toBe(1);

    await storeReports("law-gateway", 1_000, COLOUR, 100);
    expect((await inputsOf(COLOUR))?.newFailures).toBe(101);

    await tick("one");
    const [colour] = await rows<Record<string, number>>("SELECT * FROM regions WHERE key = ?1", COLOUR);
    expect(colour).toMatchObject({ new_failures: 0, new_exposures: 0 });
    expect(colour?.failures).toBeCloseTo(DEFAULT_POLICY.scheduler.decay * 101, 5);
  });

  test("expose up to its share of a task, however many are right; all regions of the task alike", async () => {
    await storeRegion("counting", "count-near");
    await storeRegion("counting", "count-far");
    await storeRegion("colour", "attribute");
    for (let i = 0; i < 60; i++) await storeReports(`law-${i}`, 3, i % 2 === 0 ? COUNTING : COLOUR, 1, 2);
    const exposures = async () =>
      (await rows<Record<string, number>>("SELECT * FROM regions ORDER BY key")).map((region) => region.exposures);
    await storeReports("law-flood", 3, COUNTING, 0, 120);
    const share = DEFAULT_POLICY.scheduler.clientShareCap;
    const cut = ((await inputsOf(COUNTING))?.newExposures ?? 0) - 60;
    expect(cut).toBeCloseTo(Math.max(2 * 2, (share / (1 - share)) * 60), 5);
    expect((await inputsOf("counting/count-far/en/image"))?.newExposures).toBe(60 + cut);
    expect((await inputsOf(COLOUR))?.newExposures).toBe(60);

    await storeReports("law-gateway", 1_000, COUNTING, 0, 500);
    expect((await inputsOf(COUNTING))?.newExposures).toBe(560 + cut);
    await tick("one");
    const { decay } = DEFAULT_POLICY.scheduler;
    expect(await exposures()).toEqual([decay * 60, decay * (560 + cut), decay * (560 + cut)]);
    expect(await rows("SELECT DISTINCT new_exposures FROM regions")).toEqual([{ new_exposures: 0 }]);
  });

  test("that come between a tick's reading and its writing count in the next, and against its cap there", async () => {
    const { key, clientId } = await createKey(["ingest"], { reportCap: 3 });
    const report = (name: string, count: number, fields = {}) =>
      postEvents(
        key,
        Array.from({ length: count }, (_, i) => testEvent(`${name} ${i}`, fields)),
      );
    const left = () =>
      rows(
        "SELECT region, exposures, counted, tagged FROM region_reports WHERE client_id = ?1 ORDER BY region",
        clientId,
      );
    const newFailures = () =>
      rows("SELECT new_failures AS n, new_exposures AS exposed FROM regions WHERE key = ?1", COUNTING);
    const red = { task: "colour", errorType: "attribute", response: "It is red.", reference: "It is blue." };
    await report("before", 1);
    await report("elsewhere", 1, red);
    await tick("one", { db: interrupted("INSERT INTO ticks", async () => void (await report("between", 2))) });
    expect(await left()).toEqual([{ region: COUNTING, exposures: 2, counted: 2, tagged: 2 }]);
    expect(await newFailures()).toEqual([{ n: 2, exposed: 2 }]);
    await report("after", 3);
    expect(await newFailures()).toEqual([{ n: 3, exposed: 5 }]);
    await tick("two");
    expect(await left()).toEqual([]);
    await report("next", 9);
    expect(await newFailures()).toEqual([{ n: 3, exposed: 9 }]);
  });
});

describe("a region without failures for long", () => {
  const idle = (days: number) =>
    env.DB.prepare("UPDATE regions SET new_failures = 0, last_failed_at = ?1 WHERE key = ?2")
      .bind(NOW - days * DAY_MS, COLOUR)
      .run();
  const archivedAt = async () =>
    (await rows<{ at: number | null }>("SELECT archived_at AS at FROM regions WHERE key = ?1", COLOUR))[0]?.at;
  const after = DEFAULT_POLICY.scheduler.archiveAfterDays;

  test("is archived by a tick, unless pairs of it are ready, and comes back with a failure", async () => {
    await storeCounts(5);
    await idle(after - 1);
    await tick("too early");
    expect(await archivedAt()).toBeNull();
    await idle(after + 1);
    await env.DB.prepare("UPDATE regions SET backlog = 1 WHERE key = ?1").bind(COLOUR).run();
    await tick("something is ready");
    expect(await archivedAt()).toBeNull();
    await env.DB.prepare("UPDATE regions SET backlog = 0 WHERE key = ?1").bind(COLOUR).run();
    await tick("idle");
    expect(await archivedAt()).toBe(NOW);
    expect(await inputsOf(COLOUR)).toBeUndefined();
    expect(await inputsOf(COUNTING)).toBeDefined();

    const { key } = await createKey(["ingest"]);
    const right = { task: "colour", errorType: "attribute", response: "It is blue.", reference: "It is blue." };
    await postEvents(key, [testEvent("right", right)]);
    expect(await archivedAt()).toBe(NOW);
    await postEvents(key, [testEvent("wrong", { ...right, response: "It is red." })]);
    expect(await archivedAt()).toBeNull();
    const [region] = await rows<{ at: number }>("SELECT last_failed_at AS at FROM regions WHERE key = ?1", COLOUR);
    expect(region?.at).toBeGreaterThan(NOW - after * DAY_MS);
    expect((await inputsOf(COLOUR))?.newFailures).toBe(1);
  });

  test("fades like the others while it is archived, so that it comes back with their exposures", async () => {
    await storeRegion("counting", "count-far", 10);
    await storeRegion("counting", "count-near", 10);
    await env.DB.prepare("UPDATE regions SET archived_at = 1 WHERE error_type = 'count-far'").run();
    await tick("one");
    const exposures = await rows<{ exposures: number }>("SELECT DISTINCT exposures, new_exposures FROM regions");
    expect(exposures).toEqual([{ exposures: 20 * DEFAULT_POLICY.scheduler.decay, new_exposures: 0 }]);
  });
});

test("a failure rate that jumps is an alarm in the very tick, and is remembered for the next", async () => {
  await storeRegion("counting", "count-near", 10);
  await env.DB.prepare("UPDATE regions SET rate_watch = ?1")
    .bind(JSON.stringify({ failures: 10, exposures: 1_000, rise: 4 }))
    .run();
  expect((await inputsOf(COUNTING))?.alarms).toEqual(["failure-rate"]);
  await tick("one");
  const [row] = await rows<{ watch: string }>("SELECT rate_watch AS watch FROM regions");
  expect(JSON.parse(row?.watch ?? "")).toMatchObject({ exposures: 0.95 * 1_000 + 20 });
  expect(JSON.parse(row?.watch ?? "").rise).toBeGreaterThan(DEFAULT_POLICY.alarms.rateThreshold);
  expect((await inputsOf(COUNTING))?.alarms).toEqual(["failure-rate"]);
});

test("funds are what the day has left, less what queued edits will cost; without a model there are none to watch", async () => {
  await setPolicy({ spending: { tokensPerDay: 10_000, microsPerDay: 500, inputMicrosPerMillion: 1 } });
  await storeCounts(3);
  await storeJobs([
    { source: "0".repeat(32), level: 2 },
    { source: `${"0".repeat(31)}1`, level: 2 },
    { source: `${"0".repeat(31)}2`, level: 2, errorType: "count-far" },
  ]);
  await env.DB.prepare("UPDATE regions SET cost_tokens = 100.5, cost_micros = 20 WHERE key = ?1").bind(COUNTING).run();
  const { document } = await currentPolicy(env.DB);
  const model = { EDITOR_BASE_URL: "http://editor", EDITOR_MODEL: "m", EDITOR_API_KEY: "k" };
  expect((await planInputs({ DB: env.DB, ...model }, document, NOW, 7)).funds).toEqual({
    tokens: 10_000 - Math.ceil(3 * 100.5),
    micros: 500 - 60,
  });
  expect((await inputs()).funds).toEqual({ tokens: null, micros: null });
});

test("windows cover what a group may get, and stay within the budget's multiple together", () => {
  const region = fc.record({
    task: fc.constantFrom("counting", "colour", "ocr"),
    mass: fc.double({ min: 0, max: 50, noNaN: true }),
  });
  fc.assert(
    fc.property(
      fc.array(region, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 5_000 }),
      (all, budgetPairs) => {
        const regions = all.map((one) => ({ ...one, language: "en", modality: "image" }));
        const { groups, groupOf } = groupRegions(regions, ({ mass }) => mass);
        expect(Array.from(groupOf, (number) => groups[number]?.task)).toEqual(all.map(({ task }) => task));
        const windows = windowsOf(groups, { budgetPairs, capShare: 0.25 });
        expect(windows.map(({ group }) => group.task).sort()).toEqual([...new Set(all.map(({ task }) => task))].sort());
        for (const { limit } of windows) expect(Number.isInteger(Math.log2(limit))).toBe(true);
        const total = windows.reduce((sum, { limit }) => sum + limit, 0);
        expect(total).toBeLessThanOrEqual(2 * (6 * budgetPairs + 201 * windows.length));
      },
    ),
    { numRuns: 50 },
  );
});

describe("the list of regions", () => {
  test("has pages, the heaviest first, sparse regions with their parents, and archived ones apart", async () => {
    await storeRegion("counting", "count-near");
    await storeRegion("colour", "attribute");
    await storeRegion("ocr", "text-misread");
    await env.DB.batch([
      env.DB.prepare(
        "UPDATE regions SET failure_mass = length(task), exposures = 10, failures = 2, total_failures = 3",
      ),
      env.DB.prepare("UPDATE regions SET exposures = 1000 WHERE task = 'counting'"),
      env.DB.prepare("UPDATE regions SET archived_at = 5 WHERE task = 'ocr'"),
      env.DB.prepare(
        `INSERT INTO regions (key, task, error_type, language, modality, created_at, exposures, failures, round_watch)
         VALUES ('colour/attribute/de/text', 'colour', 'attribute', 'de', 'text', 0, 50, 4, '{"still":9}')`,
      ),
    ]);
    const { document } = await currentPolicy(env.DB);
    const page = (query: Partial<Parameters<typeof listRegions>[1]>) =>
      listRegions(env.DB, { offset: 0, limit: 2, archived: "no", ...query }, document);
    const first = await page({});
    expect(first.regions.map(({ key }) => key)).toEqual([COUNTING, COLOUR]);
    expect(first.next).toBe(2);
    expect(first.regions.map(({ parent }) => parent)).toEqual([
      null,
      { key: "colour/attribute/*/*", failures: 6, exposures: 60, totalFailures: 3, totalExposures: 0 },
    ]);
    const second = await page({ offset: 2 });
    expect(second).toMatchObject({
      regions: [{ key: "colour/attribute/de/text", alarms: ["still"], parent: null }],
      next: null,
    });
    expect((await page({ archived: "yes" })).regions).toMatchObject([
      { key: "ocr/text-misread/en/image", archivedAt: 5 },
    ]);
  });
});
