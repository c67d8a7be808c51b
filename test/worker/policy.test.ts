import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_POLICY, type PolicyDocument } from "../../shared/contracts/policy.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { encodePlan } from "../../shared/hardness/record.ts";
import type { Change } from "../../shared/policy/changes.ts";
import type { PreviewRegion } from "../../shared/policy/preview.ts";
import { planInputs } from "../../workers/scheduler/inputs.ts";
import { emptyLoop, imageOf, rows, storePairs, storeRegion, storeSources } from "./fixtures.ts";
import { call, countRows, createKey, expectError, expectJson } from "./support.ts";

let operator: { id: string; key: string };
beforeAll(async () => {
  operator = await createKey(["operate"]);
});

const get = (path: string) => call("GET", path, { key: operator.key });
const put = (json: unknown) => call("PUT", "/v1/policy", { key: operator.key, json });
const post = (path: string, json: unknown) => call("POST", path, { key: operator.key, json });

interface Policy {
  version: number;
  document: PolicyDocument;
  author: string;
  reason: string;
}

type Section = keyof PolicyDocument;

function withFields<S extends Section>(document: PolicyDocument, section: S, fields: Partial<PolicyDocument[S]>) {
  return { ...document, [section]: { ...document[section], ...fields } };
}

/** Makes the next version, which must succeed. */
async function edit<S extends Section>(
  section: S,
  fields: Partial<PolicyDocument[S]>,
  reason = "a test",
): Promise<Policy> {
  const { version, document } = await expectJson<Policy>(await get("/v1/policy"));
  return expectJson<Policy>(await put({ version, document: withFields(document, section, fields), reason }));
}

describe("the policy", () => {
  test("begins as the default, once, however many ask first", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => expectJson<Policy>(await get("/v1/policy"))),
    );
    for (const answer of answers)
      expect(answer).toMatchObject({ version: 1, document: DEFAULT_POLICY, author: "system" });
    expect(await countRows("policies")).toBe(1);
  });

  test("is changed by its newest version only, and the change is in the audit log", async () => {
    const before = await expectJson<Policy>(await get("/v1/policy"));
    const document = { ...before.document, scheduler: { ...before.document.scheduler, budgetPairs: 77 } };
    const edit = { version: before.version, document, reason: "a quiet week" };
    const after = await expectJson<Policy>(await put(edit));
    expect(after).toMatchObject({
      version: before.version + 1,
      document,
      author: `key:${operator.id}`,
      reason: edit.reason,
    });
    expect(await expectJson(await get("/v1/policy"))).toEqual(after);

    expect((await expectError(await put(edit), 409)).code).toBe("conflict");
    await expectError(await put({ ...edit, version: after.version + 1 }), 409);
    expect(await expectJson(await get("/v1/policy"))).toEqual(after);

    const { results } = await env.DB.prepare(
      "SELECT actor, subject, details FROM audit_log WHERE action = 'policy.set'",
    ).all();
    expect(results).toEqual([
      {
        actor: `key:${operator.id}`,
        subject: String(after.version),
        details: JSON.stringify({ from: before.version, reason: edit.reason }),
      },
    ]);
  });

  test("goes to one of many who edit the same version at once", async () => {
    const { version, document } = await expectJson<Policy>(await get("/v1/policy"));
    const audited = await countRows("audit_log");
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => put({ version, document, reason: `editor ${i}` })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, ...Array(7).fill(409)]);
    expect((await expectJson<Policy>(await get("/v1/policy"))).version).toBe(version + 1);
    expect(await countRows("audit_log")).toBe(audited + 1);
  });

  test("is refused with the field and the reason", async () => {
    const { version, document } = await expectJson<Policy>(await get("/v1/policy"));
    const bad = { ...document, training: { ...document.training, beta: -1, betta: 1 } };
    const error = await expectError(await put({ version, document: bad, reason: "x" }), 400);
    expect(error.details?.map((problem) => problem.path)).toEqual(["document.training.beta", "document.training"]);
    expect(error.details?.[1]?.message).toContain("betta");
    await expectError(await put({ version, document }), 400);
  });

  test("that was stored before a field existed gets the field's default", async () => {
    const { version } = await expectJson<Policy>(await get("/v1/policy"));
    await env.DB.prepare("INSERT INTO policies VALUES (?1, ?2, 1, 'system', 'older')")
      .bind(version + 1, JSON.stringify({ gate: { maxItems: 5 } }))
      .run();
    const { document } = await expectJson<Policy>(await get("/v1/policy"));
    expect(document).toEqual({ ...DEFAULT_POLICY, gate: { ...DEFAULT_POLICY.gate, maxItems: 5 } });
  });
});

describe("earlier policies", () => {
  interface History {
    versions: { version: number; author: string; reason: string; changes: Change[] }[];
    next: number | null;
  }
  const history = async (query = "") => expectJson<History>(await get(`/v1/policy/history${query}`));
  const rollback = (version: number, to: number) =>
    post("/v1/policy/rollback", { version, to, reason: "it was better" });

  beforeEach(emptyLoop);

  test("begin with the default, whoever looks first", async () => {
    await env.DB.prepare("DELETE FROM policies").run();
    const { versions, next } = await history();
    expect(next).toBeNull();
    expect(versions).toEqual([expect.objectContaining({ version: 1, author: "system", changes: [] })]);
  });

  test("are listed, the newest first, in pages, each with what it changed", async () => {
    await edit("scheduler", { budgetPairs: 5, capShare: 0.5 }, "less");
    await edit("training", { objective: "sft" }, "other");
    const all = await history();
    expect(all.versions.map(({ version, reason }) => [version, reason])).toEqual([
      [3, "other"],
      [2, "less"],
      [1, "default"],
    ]);
    expect(all.versions[0]?.author).toBe(`key:${operator.id}`);
    expect(all.versions[0]?.changes).toEqual([{ path: "training.objective", from: "dpo", to: "sft" }]);
    expect(all.versions[1]?.changes).toEqual([
      { path: "scheduler.budgetPairs", from: DEFAULT_POLICY.scheduler.budgetPairs, to: 5 },
      { path: "scheduler.capShare", from: DEFAULT_POLICY.scheduler.capShare, to: 0.5 },
    ]);
    const first = await history("?limit=2");
    const second = await history(`?limit=2&before=${first.next}`);
    expect([...first.versions, ...second.versions]).toEqual(all.versions);
    expect(second.next).toBeNull();
  });

  test("differ from any other as the diff says, both ways", async () => {
    await edit("scheduler", { budgetPairs: 5 });
    await edit("training", { objective: "sft" });
    const diff = async (query: string) => expectJson<Record<string, unknown>>(await get(`/v1/policy/diff?${query}`));
    const whole = await diff("from=1");
    expect(whole).toEqual({
      from: 1,
      to: 3,
      changes: [
        { path: "scheduler.budgetPairs", from: DEFAULT_POLICY.scheduler.budgetPairs, to: 5 },
        { path: "training.objective", from: "dpo", to: "sft" },
      ],
    });
    expect(await diff("from=3&to=2")).toEqual({
      from: 3,
      to: 2,
      changes: [{ path: "training.objective", from: "sft", to: "dpo" }],
    });
    expect(await diff("from=2&to=2")).toMatchObject({ changes: [] });
    await expectError(await get("/v1/policy/diff?from=9"), 404);
    await expectError(await get("/v1/policy/diff?from=1&to=9"), 404);
    await expectError(await get("/v1/policy/diff"), 400);
  });

  test("come back as the next version, and bring back the bytes of the next plan", async () => {
    await storeWork();
    const plan = async () => {
      const { document } = await expectJson<Policy>(await get("/v1/policy"));
      return encodePlan(makePlan(await planInputs(env, document, 1_000_000, 7)));
    };
    const before = await plan();
    await edit("scheduler", { budgetPairs: 11, capShare: 0.5 });
    expect(await plan()).not.toBe(before);
    const back = await expectJson<Policy>(await rollback(2, 1));
    expect(back).toMatchObject({ version: 3, document: DEFAULT_POLICY, reason: "it was better" });
    expect(await plan()).toBe(before);
    const audit = await rows("SELECT actor, subject, details FROM audit_log WHERE action = 'policy.rollback'");
    expect(audit).toEqual([
      { actor: `key:${operator.id}`, subject: "3", details: '{"from":2,"to":1,"reason":"it was better"}' },
    ]);
  });

  test("come back only for who has seen the newest, and only if there was such a version", async () => {
    await edit("scheduler", { budgetPairs: 5 });
    await edit("scheduler", { budgetPairs: 6 });
    expect((await expectError(await rollback(2, 1), 409)).code).toBe("conflict");
    await expectError(await rollback(2, 2), 409);
    await expectError(await rollback(3, 9), 404);
    expect((await expectError(await rollback(3, 3), 422)).code).toBe("unprocessable");
    await expectError(await post("/v1/policy/rollback", { version: 3, to: 1 }), 400);
    expect((await expectJson<Policy>(await get("/v1/policy"))).version).toBe(3);
    const races = await Promise.all([rollback(3, 1), rollback(3, 2), rollback(3, 1)]);
    expect(races.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    expect(await countRows("policies")).toBe(4);
  });
});

test("the fields of the policy are told with sense, unit, default and bounds", async () => {
  const { fields } = await expectJson<{ fields: Record<string, unknown>[] }>(await get("/v1/policy/fields"));
  expect(fields.find(({ path }) => path === "scheduler.capShare")).toEqual({
    path: "scheduler.capShare",
    description: "Largest part of the budget for one region.",
    unit: "share",
    default: DEFAULT_POLICY.scheduler.capShare,
    schema: { type: "number", minimum: 0, maximum: 1 },
  });
});

describe("a preview", () => {
  interface Preview {
    version: number;
    changes: Change[];
    planned: { before: number; after: number };
    expected: { tokens: { before: number; after: number }; micros: { before: number; after: number } };
    moved: number;
    regions: PreviewRegion[];
    summary: string;
  }
  interface Tick {
    plan: {
      planned: number;
      expected: { tokens: number; micros: number };
      lines: { region: string; level: number; pairs: number }[];
    };
  }
  const preview = (document: unknown) => post("/v1/policy/preview", { document });
  const pairsByRegion = ({ plan }: Tick) =>
    new Map(
      [...Map.groupBy(plan.lines, ({ region }) => region)].map(([region, lines]) => [
        region,
        lines.reduce((sum, { pairs }) => sum + pairs, 0),
      ]),
    );

  beforeEach(async () => {
    await emptyLoop();
    await storeWork();
    await edit("scheduler", { budgetPairs: 40 });
  });

  test("equals the tick that is made once the policy is set", async () => {
    const { document } = await expectJson<Policy>(await get("/v1/policy"));
    const wanted = withFields(document, "scheduler", { budgetPairs: 30, capShare: 0.6 });
    const told = await expectJson<Preview>(await preview(wanted));
    expect(told.changes.map(({ path }) => path)).toEqual(["scheduler.budgetPairs", "scheduler.capShare"]);
    expect(told.planned).toEqual({ before: expect.any(Number), after: 30 });
    expect(told.regions.length).toBeGreaterThan(0);
    await edit("scheduler", wanted.scheduler);
    const tick = await expectJson<Tick>(await post("/v1/ticks", {}), 201);
    const pairs = pairsByRegion(tick);
    expect(tick.plan.planned).toBe(told.planned.after);
    expect(tick.plan.expected).toEqual({ tokens: told.expected.tokens.after, micros: told.expected.micros.after });
    for (const { region, pairsAfter } of told.regions) expect(pairs.get(region) ?? 0, region).toBe(pairsAfter);
    for (const region of pairs.keys()) {
      const one = told.regions.find((changed) => changed.region === region);
      const most = Math.max(...tick.plan.lines.filter((line) => line.region === region).map((line) => line.pairs));
      if (one)
        expect(tick.plan.lines).toContainEqual(expect.objectContaining({ region, level: one.levelAfter, pairs: most }));
    }
  });

  test("holds the present plan against the changed one", async () => {
    const { document, version } = await expectJson<Policy>(await get("/v1/policy"));
    const told = await expectJson<Preview>(await preview(withFields(document, "scheduler", { capShare: 0.55 })));
    expect(told.version).toBe(version);
    const tick = pairsByRegion(await expectJson<Tick>(await post("/v1/ticks", {}), 201));
    for (const { region, pairsBefore } of told.regions) expect(tick.get(region) ?? 0, region).toBe(pairsBefore);
    const size = (one: PreviewRegion) =>
      Math.abs(one.pairsAfter - one.pairsBefore) + Math.abs(one.quotaAfter - one.quotaBefore);
    expect(told.regions.map(size)).toEqual(told.regions.map(size).sort((a, b) => b - a));
    expect(told.moved).toBeGreaterThan(0);
    expect(told.moved).toBeLessThanOrEqual(1);
    expect(told.summary).toMatch(/^The next plan has 40 instead of 30 pairs, .*\.$/);
  });

  test("tells the quotas of the next batch", async () => {
    const { document } = await expectJson<Policy>(await get("/v1/policy"));
    const told = await expectJson<Preview>(await preview(withFields(document, "training", { maxPairs: 4 })));
    expect(told.planned.before).toBe(told.planned.after);
    expect(told.moved).toBe(0);
    const sum = (of: "quotaBefore" | "quotaAfter") => told.regions.reduce((all, one) => all + one[of], 0);
    expect(sum("quotaAfter")).toBeLessThan(sum("quotaBefore"));
    expect(told.regions.every((one) => one.pairsBefore === one.pairsAfter)).toBe(true);
  });

  test("of the present policy says that nothing differs", async () => {
    const { document } = await expectJson<Policy>(await get("/v1/policy"));
    const told = await expectJson<Preview>(await preview(document));
    expect(told).toMatchObject({ changes: [], moved: 0, regions: [] });
    expect(told.summary).toBe("Nothing differs from the present policy.");
  });

  test("stores nothing, and refuses what could not be set", async () => {
    const everything = async () => {
      const tables = await rows<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' AND name <> 'key_usage'",
      );
      expect(tables.length).toBeGreaterThan(20);
      return Promise.all(tables.map(async ({ name }) => [name, await rows(`SELECT * FROM ${name}`)]));
    };
    const { document } = await expectJson<Policy>(await get("/v1/policy"));
    const before = await everything();
    await expectJson(await preview(withFields(document, "spending", { tokensPerDay: 0 })));
    await expectJson(await preview(withFields(document, "training", { maxPairs: 4 })));
    const error = await expectError(await preview(withFields(document, "scheduler", { capShare: 2 })), 400);
    expect(error.details).toEqual([expect.objectContaining({ path: "document.scheduler.capShare" })]);
    expect(await everything()).toEqual(before);
  });
});

/** Three regions of different weight, with sources to edit, and ready pairs in two of them. */
async function storeWork(): Promise<void> {
  const kinds = [
    { task: "counting", errorType: "count-near", failures: 30 },
    { task: "colour", errorType: "attribute", failures: 12 },
    { task: "existence", errorType: "negation", failures: 5 },
  ] as const;
  for (const [place, { task, errorType, failures }] of kinds.entries()) {
    const ids = Array.from({ length: 40 }, (_, i) => `${place}-${i}`);
    await storeSources(ids.map((id, i) => ({ id, task, errorType, images: [imageOf(40 * place + i)] })));
    await storeRegion(task, errorType, failures);
    if (place < 2) await storePairs(ids.slice(0, 10).map((source) => ({ source, task, errorType })));
  }
}
