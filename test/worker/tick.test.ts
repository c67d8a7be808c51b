import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_POLICY, schedulerPolicy } from "../../shared/contracts/policy.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { decodeInputs, encodeInputs, encodePlan, FORMAT } from "../../shared/hardness/record.ts";
import type { PlanLine } from "../../shared/hardness/state.ts";
import { ERROR_TYPES } from "../../shared/taxonomy/taxonomy.ts";
import { fromRow, toRow } from "../../workers/scheduler/archive.ts";
import { chooseSources } from "../../workers/scheduler/choose.ts";
import { onCron, SWEEP_AGE_MS, slotOf, sweep } from "../../workers/scheduler/cron.ts";
import { runTick } from "../../workers/scheduler/tick.ts";
import type { EditableSource } from "../../workers/store/supply.ts";
import {
  emptyLoop,
  imageOf,
  interrupted,
  RecordingQueue,
  rows,
  setPolicy,
  storeRegion,
  storeSources,
} from "./fixtures.ts";
import { ADMIN_KEY, call, createKey, expectError, expectJson, sha256Of } from "./support.ts";

const COUNTING = "counting/count-near/en/image";
const HOUR_MS = 3_600_000;

let queue: RecordingQueue;

beforeEach(async () => {
  await emptyLoop();
  await setPolicy({ scheduler: { budgetPairs: 20, capShare: 1 } });
  queue = new RecordingQueue();
});

function tick(slot: string, options: { now?: number; seed?: number; db?: D1Database } = {}) {
  const { now = HOUR_MS, seed, db = env.DB } = options;
  return runTick({ DB: db, BLOBS: env.BLOBS, EDIT_QUEUE: queue.asBinding() }, { slot, seed, now });
}

/** Sources of one region, half of which the model got wrong, after `failures` new reports. */
async function storeCounts(count: number, failures = 10): Promise<void> {
  const numbers = Array.from({ length: count }, (_, i) => i);
  await storeSources(
    numbers.map((i) => ({
      id: i.toString(16).padStart(32, "0"),
      images: [imageOf(i)],
      ownAnswer: i % 2 === 0 ? "There are three dogs." : null,
      createdAt: i,
    })),
  );
  await storeRegion("counting", "count-near", failures);
}

interface Job {
  id: string;
  tick_id: number;
  source_id: string;
  error_type: string;
  level: number;
}

const allJobs = () => rows<Job>("SELECT id, tick_id, source_id, error_type, level FROM edit_jobs ORDER BY id");

/** What must hold after any number of ticks. */
async function expectSound(): Promise<void> {
  const jobs = await allJobs();
  const kinds = jobs.map((job) => `${job.source_id}/${job.error_type}/${job.level}`);
  expect(new Set(kinds).size).toBe(kinds.length);
  expect(
    await rows(
      `SELECT s.id FROM sources s WHERE s.jobs <> (SELECT count(*) FROM edit_jobs j WHERE j.source_id = s.id)
         OR s.jobs > ${DEFAULT_POLICY.editor.rejectedPerSource} OR (s.split <> 'train' AND s.jobs > 0)`,
    ),
  ).toEqual([]);
  expect(
    await rows("SELECT id FROM ticks t WHERE t.jobs <> (SELECT count(*) FROM edit_jobs j WHERE j.tick_id = t.id)"),
  ).toEqual([]);
}

describe("a tick", () => {
  test("orders the planned edits, tells the queue, and leaves the statistics decayed", async () => {
    await storeCounts(30);
    await env.DB.prepare(
      "INSERT INTO clients (id, name, report_cap, created_at) VALUES ('c', 'c', 3, 0) ON CONFLICT DO NOTHING",
    ).run();
    await env.DB.prepare("INSERT INTO region_reports (client_id, region, exposures, counted) VALUES ('c', ?1, 5, 3)")
      .bind(COUNTING)
      .run();
    const { row, created } = await tick("one");
    expect(created).toBe(true);
    expect(row).toMatchObject({ id: 1, slot: "one", jobs: 20, policyVersion: 2 });
    const jobs = await allJobs();
    expect(jobs).toHaveLength(20);
    expect([...queue.jobs].sort()).toEqual(jobs.map(({ id }) => id));
    const [region] = await rows<Record<string, number>>("SELECT * FROM regions");
    const { decay } = DEFAULT_POLICY.scheduler;
    expect(region).toMatchObject({ new_failures: 0, new_exposures: 0, planned_at: HOUR_MS });
    expect(region?.failures).toBeCloseTo(decay * 10, 9);
    expect(region?.exposures).toBeCloseTo(decay * 20, 9);
    expect(region?.failure_mass).toBeCloseTo((1 - decay) * 10.3, 9);
    expect(jobs.filter(({ level }) => level < 4).every(({ level }) => level === region?.level)).toBe(true);
    expect(await rows("SELECT * FROM region_reports")).toEqual([]);
    await expectSound();
  });

  test("names an edit by the hash of source, error type and level", async () => {
    await storeCounts(1);
    await tick("one");
    for (const { id, source_id, error_type, level } of await allJobs()) {
      const hash = await sha256Of(new TextEncoder().encode(`${source_id}\n${error_type}\n${level}`));
      expect(id).toBe(hash.slice(0, 32));
    }
  });

  test("the same slot again gives the stored plan, orders nothing, and wakes what may have been lost", async () => {
    await storeCounts(30);
    const first = await tick("one", { seed: 7 });
    const jobs = await allJobs();
    const sent = queue.jobs.length;
    const again = await tick("one", { seed: 8 });
    expect(again).toEqual({ row: first.row, created: false });
    expect(queue.jobs).toHaveLength(sent);
    expect(await tick("one", { seed: 8, now: first.row.at + HOUR_MS })).toEqual(again);
    expect(await allJobs()).toEqual(jobs);
    expect(queue.jobs.slice(sent).sort()).toEqual(jobs.map(({ id }) => id).sort());
  });

  test("ten at once for one slot: one plan, every job ordered and enqueued once", async () => {
    await storeCounts(30);
    const ticks = await Promise.all(Array.from({ length: 10 }, () => tick("one")));
    expect(ticks.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(ticks.map(({ row }) => row.planSha256)).size).toBe(1);
    expect(new Set(ticks.map(({ row }) => row.jobs))).toEqual(new Set([20]));
    expect(await rows("SELECT id FROM ticks")).toEqual([{ id: 1 }]);
    expect([...queue.jobs].sort()).toEqual((await allJobs()).map(({ id }) => id));
    await expectSound();
  });

  test("four at once for different slots: each starts from where another ended", async () => {
    await storeCounts(40);
    const ticks = await Promise.all([1, 2, 3, 4].map((slot) => tick(`slot-${slot}`)));
    expect(ticks.map(({ row }) => row.id).sort()).toEqual([1, 2, 3, 4]);
    const [region] = await rows<Record<string, number>>("SELECT failures, new_failures FROM regions");
    expect(region?.failures).toBeCloseTo(10 * DEFAULT_POLICY.scheduler.decay ** 4, 9);
    expect(region?.new_failures).toBe(0);
    expect(new Set(queue.jobs).size).toBe(queue.jobs.length);
    await expectSound();
  });

  test("reports that come between its reading and its writing are not lost", async () => {
    await storeCounts(30);
    const report = () => storeRegion("counting", "count-near", 4);
    await tick("one", { db: interrupted("INSERT INTO ticks", report) });
    expect(await rows("SELECT new_failures, new_exposures FROM regions")).toEqual([
      { new_failures: 4, new_exposures: 8 },
    ]);
  });

  test("raises a level by one step per round, however many ticks there are between two", async () => {
    await setPolicy({ scheduler: { budgetPairs: 5 }, editor: { rejectedPerSource: 8, ownAnswerFirst: false } });
    const numbers = Array.from({ length: 60 }, (_, i) => i);
    await storeSources(
      numbers.map((i) => ({ id: `s-${i}`, task: "background", errorType: "scene", images: [imageOf(i)] })),
    );
    await storeRegion("background", "scene", 30);
    await env.DB.prepare("UPDATE regions SET level = 1, ability_mean = -3, ability_var = 0.01, scored = 100").run();
    const levels: number[] = [];
    const tickAt = async (now: number) => {
      await env.DB.prepare("UPDATE regions SET new_failures = 30, new_exposures = 60").run();
      await tick(`at ${now}`, { now });
      const [job] = await rows<{ level: number }>(
        "SELECT max(level) AS level FROM edit_jobs WHERE created_at = ?1",
        now,
      );
      levels.push(job?.level ?? 0);
    };
    await tickAt(1);
    await env.DB.prepare("UPDATE regions SET ability_mean = 6").run();
    for (const now of [2, 3, 4]) await tickAt(now);
    expect(levels).toEqual([1, 2, 2, 2]);
    await env.DB.prepare(
      `INSERT INTO rounds (id, trainer, state, created_at, finished_at, policy_version, pairs, batch_sha256)
       VALUES ('round', 't', 'completed', 1, 5, 1, 0, '')`,
    ).run();
    for (const now of [6, 7, 8]) await tickAt(now);
    expect(levels.slice(4)).toEqual([2, 3, 3]);
    // It falls at once.
    await env.DB.prepare("UPDATE regions SET ability_mean = -6").run();
    await tickAt(9);
    expect(levels.at(-1)).toBe(1);
  });

  test("goes on until every source has had its edits, and never orders one twice", async () => {
    await storeCounts(25);
    for (let slot = 0; slot < 8; slot++) {
      await tick(`slot-${slot}`);
      await expectSound();
    }
    const left = await rows<{ id: string; jobs: number }>("SELECT id, jobs FROM sources WHERE jobs = 0");
    expect(left).toEqual([]);
  });

  test("chooses no held-out, mixed or imageless source, and none that has had its edits", async () => {
    await storeSources([
      { id: "a".repeat(32), images: [imageOf(1)] },
      { id: "b".repeat(32), images: [imageOf(2, "gate")] },
      { id: "c".repeat(32), images: [imageOf(1), imageOf(2, "gate")] },
      { id: "d".repeat(32), images: [imageOf(3)], uploaded: false },
      { id: "e".repeat(32), images: [imageOf(4)], jobs: 2 },
    ]);
    await storeRegion("counting", "count-near", 10);
    await tick("one");
    expect(new Set((await allJobs()).map(({ source_id }) => source_id))).toEqual(new Set(["a".repeat(32)]));
  });
});

describe("replay", () => {
  test("a stored tick's inputs give its plan again, byte for byte", async () => {
    await storeCounts(30);
    await storeSources([{ id: "f".repeat(32), task: "colour", errorType: "attribute", images: [imageOf(50)] }]);
    await storeRegion("colour", "attribute", 3);
    for (const slot of ["one", "two", "three"]) {
      const { row } = await tick(slot, { now: HOUR_MS * (1 + slot.length) });
      const inputs = decodeInputs(row.inputs);
      expect(row.format).toBe(FORMAT);
      expect(encodeInputs(inputs)).toBe(row.inputs);
      expect(encodePlan(makePlan(inputs))).toBe(row.plan);
      const digest = (text: string) => sha256Of(new TextEncoder().encode(text));
      expect([row.inputsSha256, row.planSha256]).toEqual([await digest(row.inputs), await digest(row.plan)]);
      expect(schedulerPolicy.parse(inputs.policy)).toEqual(inputs.policy);
      expect(inputs.seed).toBe(row.seed);
    }
  });

  test("the seed is the slot's unless one is asked for, and other seeds choose other sources", async () => {
    await storeCounts(200);
    const orders = async (slot: string, seed?: number) => {
      await env.DB.batch([
        env.DB.prepare("DELETE FROM edit_jobs"),
        env.DB.prepare("DELETE FROM ticks"),
        env.DB.prepare("UPDATE sources SET jobs = 0"),
      ]);
      await tick(slot, seed === undefined ? {} : { seed });
      return (await allJobs()).map(({ id }) => id);
    };
    expect(await orders("one")).toEqual(await orders("one"));
    expect(await orders("one", 1)).not.toEqual(await orders("one", 2));
  });

  test("inputs that are too large for a row stand in a blob", async () => {
    const text = JSON.stringify({ regions: "x".repeat(1_000_000) });
    const sha256 = await sha256Of(new TextEncoder().encode(text));
    const row = await toRow(env, text, sha256);
    expect(row.length).toBeLessThan(200);
    expect(await fromRow(env, row)).toBe(text);
    expect(await toRow(env, '{"a":1}', sha256)).toBe('{"a":1}');
    expect(await fromRow(env, '{"a":1}')).toBe('{"a":1}');
  });
});

describe("a broken queue", () => {
  test("costs no job: the tick stands, and the sweep enqueues what waited too long", async () => {
    await storeCounts(30);
    queue.broken = true;
    const { row } = await tick("one");
    expect(row.jobs).toBe(20);
    expect(queue.jobs).toEqual([]);
    queue.broken = false;
    const deps = { DB: env.DB, EDIT_QUEUE: queue.asBinding() };
    expect(await sweep(deps, HOUR_MS + SWEEP_AGE_MS)).toBe(0);
    expect(await sweep(deps, HOUR_MS + SWEEP_AGE_MS + 1)).toBe(20);
    expect([...queue.jobs].sort()).toEqual((await allJobs()).map(({ id }) => id));
  });

  test("and then wakes them no sooner than after as long again, those that were enqueued only", async () => {
    await storeCounts(30);
    queue.broken = true;
    await tick("one");
    const deps = { DB: env.DB, EDIT_QUEUE: queue.asBinding() };
    const first = HOUR_MS + SWEEP_AGE_MS + 1;
    expect(await sweep(deps, first)).toBe(0);
    queue.broken = false;
    expect(await sweep(deps, first + 1)).toBe(20);
    expect(await sweep(deps, first + 1 + SWEEP_AGE_MS)).toBe(0);
    await env.DB.prepare("UPDATE edit_jobs SET state = 'accepted' WHERE rowid % 2 = 0").run();
    expect(await sweep(deps, first + 2 + SWEEP_AGE_MS)).toBe(10);
    expect(await sweep(deps, first + 3 + SWEEP_AGE_MS)).toBe(0);
  });
});

describe("cron", () => {
  const at = Date.parse("2026-10-01T12:07:31.5Z");
  const run = (time: number) => onCron({ ...env, EDIT_QUEUE: queue.asBinding() }, time);

  test("makes the slot's plan once, however often its event comes", async () => {
    await storeCounts(30);
    await Promise.all([run(at), run(at), run(at + 1_000)]);
    await storeRegion("counting", "count-near", 5);
    await run(at + 2_000);
    expect(await rows("SELECT id, slot FROM ticks")).toEqual([{ id: 1, slot: "cron/2026-10-01T12:05:00.000Z" }]);
    await run(at + 5 * 60_000);
    expect(await rows("SELECT slot FROM ticks WHERE id = 2")).toEqual([{ slot: "cron/2026-10-01T12:10:00.000Z" }]);
    await expectSound();
  });

  test("makes no plan when nothing was reported since the last one", async () => {
    await storeCounts(30, 0);
    await run(at);
    expect(await rows("SELECT id FROM ticks")).toEqual([]);
  });

  test("a slot is a period of time", () => {
    expect(slotOf(at)).toBe(slotOf(Date.parse("2026-10-01T12:09:59.999Z")));
    expect(slotOf(at)).not.toBe(slotOf(Date.parse("2026-10-01T12:10:00Z")));
  });
});

describe("the routes", () => {
  interface View {
    id: number;
    slot: string;
    created: boolean;
    jobs: number;
    plan: { lines: PlanLine[]; planned: number; budget: number };
  }

  test("a tick on demand, its plan with sentences, and its jobs", async () => {
    await storeCounts(30);
    const { key } = await createKey(["operate"]);
    const made = await expectJson<View>(await call("POST", "/v1/ticks", { key, json: { slot: "mine", seed: 3 } }), 201);
    expect(made).toMatchObject({ id: 1, slot: "mine", created: true, jobs: 20, plan: { planned: 20, budget: 20 } });
    expect(made.plan.lines[0]?.sentence).toContain("gets");
    const again = await expectJson<View>(await call("POST", "/v1/ticks", { key, json: { slot: "mine" } }));
    expect(again).toEqual({ ...made, created: false });
    expect(await expectJson(await call("GET", "/v1/ticks/1", { key }))).toEqual(again);
    const jobs = await expectJson<{ asked: number }>(await call("GET", "/v1/ticks/1/jobs", { key }));
    expect(jobs.asked).toBe(20);
    const other = await expectJson<View>(await call("POST", "/v1/ticks", { key, json: {} }), 201);
    expect(other.slot).toMatch(/^demand\//);
  });

  test("unknown ticks, malformed ids and bodies, and other scopes are refused", async () => {
    for (const path of ["/v1/ticks/9", "/v1/ticks/9/jobs"]) {
      expect((await expectError(await call("GET", path, { key: ADMIN_KEY }), 404)).code).toBe("not_found");
    }
    const error = await expectError(await call("GET", "/v1/ticks/one", { key: ADMIN_KEY }), 400);
    expect(error.details?.map(({ path }) => path)).toEqual(["id"]);
    for (const json of [{ slot: "" }, { seed: -1 }, { seed: 0.5 }, { extra: 1 }]) {
      await expectError(await call("POST", "/v1/ticks", { key: ADMIN_KEY, json }), 400);
    }
    const { key } = await createKey(["ingest", "train"]);
    await expectError(await call("POST", "/v1/ticks", { key, json: {} }), 403);
    expect(await rows("SELECT id FROM ticks")).toEqual([]);
  });
});

describe("the choice of sources", () => {
  const line = (level: 1 | 2 | 3 | 4, pairs: number, region = COUNTING): PlanLine => ({
    region,
    level,
    pairs,
    kind: "value",
    rank: 1,
    predicted: 0.5,
    interval: [0.4, 0.6],
    gain: 1,
    failureMass: 1,
    refusalRate: 0,
    cost: 1,
    valueAtEntry: 1,
    valueAtStop: 1,
    capped: false,
    alarms: [],
    sentence: "",
  });
  const policy = { rejectedPerSource: 2, ownAnswerFirst: true, wrongShare: 0.5 };

  const source = fc.record({
    id: fc.uuid().map((id) => id.replaceAll("-", "")),
    errorType: fc.constantFrom("count-near", "count-far", ...ERROR_TYPES),
    wrong: fc.boolean(),
    polarity: fc.constantFrom("yes", "no", null),
    ordered: fc.uniqueArray(fc.constantFrom("count-near/3", "count-near/4", "count-far/2", "attribute/4"), {
      maxLength: 2,
    }),
  });
  const sources = fc
    .uniqueArray(source, { selector: ({ id }) => id, maxLength: 60 })
    .map((all): EditableSource[] => all.map((one) => ({ ...one, jobs: one.ordered.length })));
  const plan = fc.array(
    fc.record({
      level: fc.constantFrom(1, 2, 3, 4) as fc.Arbitrary<1 | 2 | 3 | 4>,
      pairs: fc.integer({ min: 1, max: 40 }),
      region: fc.constantFrom(COUNTING, "counting/count-far/en/image"),
    }),
    { maxLength: 4 },
  );

  test("holds every limit, whatever there is to choose from", () => {
    fc.assert(
      fc.property(sources, plan, fc.integer({ min: 0, max: 0xffffffff }), (all, wanted, seed) => {
        const lines = wanted.map(({ level, pairs, region }) => line(level, pairs, region));
        const orders = chooseSources(lines, all, policy, seed);
        expect(orders).toEqual(chooseSources(lines, [...all].reverse(), policy, seed));
        expect(orders.length).toBeLessThanOrEqual(lines.reduce((sum, { pairs }) => sum + pairs, 0));
        const kinds = new Set(all.flatMap(({ id, ordered }) => ordered.map((kind) => `${id}/${kind}`)));
        for (const { sourceId, errorType, level, region } of orders) {
          const chosen = all.find(({ id }) => id === sourceId);
          const kind = `${sourceId}/${errorType}/${level}`;
          expect(kinds.has(kind)).toBe(false);
          kinds.add(kind);
          expect(region).toBe(`counting/${errorType}/en/image`);
          if (level === 4) expect(chosen).toMatchObject({ wrong: true, errorType });
        }
        for (const { id } of all) {
          expect([...kinds].filter((kind) => kind.startsWith(`${id}/`)).length).toBeLessThanOrEqual(2);
        }
      }),
      { numRuns: 200 },
    );
  });

  const many = (count: number, fields: (i: number) => Partial<EditableSource>): EditableSource[] =>
    Array.from({ length: count }, (_, i) => ({
      id: i.toString(16).padStart(32, "0"),
      errorType: "count-near",
      wrong: false,
      polarity: null,
      jobs: 0,
      ordered: [],
      ...fields(i),
    }));

  test("at least the policy's share of the sources is one the model got wrong, and these give their own answer first", () => {
    const orders = chooseSources(
      [line(3, 60)],
      many(200, (i) => ({ wrong: i >= 100 })),
      policy,
      1,
    );
    const bySource = Map.groupBy(orders, ({ sourceId }) => sourceId);
    const wrong = [...bySource.values()].filter(([first]) => first?.level === 4);
    expect(wrong.length / bySource.size).toBeGreaterThanOrEqual(0.5);
    expect(wrong.length / bySource.size).toBeLessThan(0.55);
    expect(wrong.slice(0, -1).every((own) => own.map(({ level }) => level).join() === "4,3")).toBe(true);
    expect(orders).toHaveLength(60);
  });

  test("right answers fill up when wrong ones run out, and the other way round", () => {
    expect(
      chooseSources(
        [line(3, 20)],
        many(30, (i) => ({ wrong: i < 2 })),
        policy,
        1,
      ),
    ).toHaveLength(20);
    expect(
      chooseSources(
        [line(3, 20)],
        many(30, (i) => ({ wrong: i > 2 })),
        policy,
        1,
      ),
    ).toHaveLength(20);
  });

  test("as many say yes as no, while there are both", () => {
    const all = many(100, (i) => ({ wrong: i % 2 === 0, polarity: i < 80 ? "yes" : "no" }));
    const orders = chooseSources([line(3, 40)], all, { ...policy, ownAnswerFirst: false }, 1);
    const chosen = orders.map(({ sourceId }) => all.find(({ id }) => id === sourceId));
    expect(chosen.filter((source) => source?.polarity === "no")).toHaveLength(20);
    // Nor may what the model got wrong always be a yes: then the polarity would tell what is to be learnt.
    expect(chosen.filter((source) => source?.wrong && source.polarity === "no")).toHaveLength(10);
  });

  test("what the region lacks among its ready pairs comes first, over all its lines", () => {
    const all = many(100, (i) => ({ polarity: i % 2 === 0 ? "yes" : "no" }));
    const saying = (orders: { sourceId: string }[], polarity: string) =>
      orders.filter(({ sourceId }) => all.find(({ id }) => id === sourceId)?.polarity === polarity).length;
    const waiting = new Map([[COUNTING, { yes: 14, no: 2 }]]);
    const first = chooseSources([line(3, 10)], all, policy, 1, waiting);
    expect(saying(first, "no")).toBe(10);
    const both = chooseSources([line(3, 10), line(2, 10)], all, policy, 1, waiting);
    expect(saying(both, "no") + 2 - (saying(both, "yes") + 14)).toBe(0);
  });

  test("sources with the fewest jobs come first", () => {
    const all = many(40, (i) => (i < 30 ? { jobs: 1, ordered: ["count-far/2"] } : {}));
    const orders = chooseSources([line(3, 12)], all, policy, 1);
    const fresh = all.filter(({ jobs }) => jobs === 0).map(({ id }) => id);
    expect(orders.filter(({ sourceId }) => fresh.includes(sourceId))).toHaveLength(10);
  });
});
