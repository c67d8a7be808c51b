import { env } from "cloudflare:workers";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { decodeInputs, encodePlan, FORMAT } from "../../shared/hardness/record.ts";
import { sha256Hex } from "../../workers/http/hash.ts";
import * as schema from "../../workers/store/schema.ts";
import { emptyLoop, imageOf, storeRegion, storeSources } from "./fixtures.ts";
import { ADMIN_KEY, call, createKey, expectError, expectJson, postEvents, testEvent } from "./support.ts";

let operator: { id: string; key: string };
beforeAll(async () => {
  operator = await createKey(["operate"]);
});

const get = (path: string) => call("GET", path, { key: operator.key });

describe("keys", () => {
  test("are refused with the field and the reason", async () => {
    const create = (json: unknown) => call("POST", "/v1/keys", { key: ADMIN_KEY, json });
    const paths = async (json: unknown) => (await expectError(await create(json), 400)).details?.map((d) => d.path);
    expect(await paths({ client: "", scopes: [] })).toEqual(["client", "scopes"]);
    expect(await paths({ client: "a", scopes: ["root"] })).toEqual(["scopes.0"]);
    expect(await paths({ client: "a", scopes: ["ingest"], reportCap: 0 })).toEqual(["reportCap"]);
    expect(await paths({ client: "a", scopes: ["ingest"], expiresAt: 1 })).toEqual(["expiresAt"]);
    expect(await paths({ client: "a", scopes: ["ingest"], admin: true })).toEqual(["body"]);
  });
});

interface Regions {
  regions: Record<string, unknown>[];
  next: number | null;
}

describe("what operators see", () => {
  test("regions, the heaviest first", async () => {
    const client = await createKey(["ingest"]);
    await postEvents(client.key, [
      testEvent("r1"),
      testEvent("r2", { task: "colour", errorType: "attribute" }),
      testEvent("r3", { task: "colour", errorType: "attribute" }),
    ]);
    const { regions, next } = await expectJson<Regions>(await get("/v1/regions"));
    expect(next).toBeNull();
    expect(regions.map((region) => region.key)).toEqual(["colour/attribute/en/image", "counting/count-near/en/image"]);
    expect(regions[0]).toEqual({
      key: "colour/attribute/en/image",
      failures: 0,
      exposures: 0,
      totalFailures: 2,
      totalExposures: 2,
      failureMass: 0,
      ability: 0,
      abilityVariance: 1,
      level: 2,
      stairLevel: 2,
      backlog: 0,
      scored: 0,
      chosenLogRatio: 0,
      costTokens: 0,
      costMicros: 0,
      alarms: [],
      archivedAt: null,
      parent: { key: "colour/attribute/*/*", failures: 0, exposures: 0, totalFailures: 2, totalExposures: 2 },
    });
  });

  test("regions in pages, archived ones apart", async () => {
    await env.DB.prepare("UPDATE regions SET archived_at = 5 WHERE task = 'colour'").run();
    const keys = async (query: string) => {
      const { regions, next } = await expectJson<Regions>(await get(`/v1/regions?${query}`));
      return [regions.map(({ key }) => key), next];
    };
    expect(await keys("archived=yes")).toEqual([["colour/attribute/en/image"], null]);
    expect(await keys("archived=no")).toEqual([["counting/count-near/en/image"], null]);
    await env.DB.prepare("UPDATE regions SET archived_at = NULL").run();
    expect(await keys("limit=1")).toEqual([["colour/attribute/en/image"], 1]);
    expect(await keys("limit=1&offset=1")).toEqual([["counting/count-near/en/image"], null]);
    await expectError(await get("/v1/regions?limit=0"), 400);
  });

  test("spending by day, the newest first, beside the limits", async () => {
    const day = Date.UTC(2026, 0, 31) / 86_400_000;
    await env.DB.prepare(
      `INSERT INTO spending (day, tokens_reserved, tokens_spent, micros_reserved, micros_spent)
       VALUES (?1, 0, 10, 0, 20), (?1 + 1, 1, 2, 3, 4)`,
    )
      .bind(day)
      .run();
    const { tokensPerDay, microsPerDay } = DEFAULT_POLICY.spending;
    const newest = { day: "2026-02-01", tokensReserved: 1, tokensSpent: 2, microsReserved: 3, microsSpent: 4 };
    const older = { day: "2026-01-31", tokensReserved: 0, tokensSpent: 10, microsReserved: 0, microsSpent: 20 };
    const limits = { tokensPerDay, microsPerDay };
    expect(await expectJson(await get("/v1/spending"))).toEqual({ limits, days: [newest, older] });
    expect(await expectJson(await get("/v1/spending?days=1"))).toEqual({ limits, days: [newest] });
  });

  test("who changed what, the newest first, in pages, by the beginning of the action", async () => {
    await env.DB.prepare("DELETE FROM audit_log").run();
    const insert = "INSERT INTO audit_log (id, at, actor, action, subject, details) VALUES (?1, ?1, 'a', ?2, 's', ?3)";
    const actions = ["key.create", "policy.set", "policyholder", "policy.rollback"];
    await env.DB.batch(actions.map((action, i) => env.DB.prepare(insert).bind(i + 1, action, JSON.stringify({ i }))));
    const audit = async (query: string) =>
      expectJson<{ entries: Record<string, unknown>[]; next: number | null }>(await get(`/v1/audit?${query}`));
    const all = await audit("");
    expect(all.next).toBeNull();
    expect(all.entries.map(({ action }) => action)).toEqual(actions.toReversed());
    expect(all.entries[0]).toEqual({
      id: 4,
      at: 4,
      actor: "a",
      action: "policy.rollback",
      subject: "s",
      details: { i: 3 },
    });
    const first = await audit("limit=3");
    expect(first.entries).toHaveLength(3);
    expect([...first.entries, ...(await audit(`limit=3&before=${first.next}`)).entries]).toEqual(all.entries);
    expect((await audit("action=policy.")).entries.map(({ id }) => id)).toEqual([4, 2]);
    expect((await audit("action=%25")).entries).toEqual([]);
  });

  test("rounds, the newest first, with what decided them", async () => {
    const { version } = await expectJson<{ version: number }>(await get("/v1/policy"));
    const insert = `INSERT INTO rounds (id, trainer, state, created_at, finished_at, policy_version, reference_adapter, pairs,
                                        batch_sha256, progress, adapter, verdict, gate, metrics)
                    VALUES (?1, 'box', ?2, ?3, ?4, ${version}, NULL, 12, '', ?5, NULL, ?6, ?7, ?8)`;
    await env.DB.batch([
      env.DB.prepare(insert).bind("old", "completed", 1, 2, "{}", "rejected", '{"verdict":"rejected"}', '{"loss":0.5}'),
      env.DB.prepare(insert).bind("new", "claimed", 3, null, '{"phase":"train","step":4}', null, null, null),
    ]);
    const { rounds } = await expectJson<{ rounds: Record<string, unknown>[] }>(await get("/v1/rounds"));
    const running = {
      id: "new",
      trainer: "box",
      state: "claimed",
      createdAt: 3,
      finishedAt: null,
      reference: null,
      pairs: 12,
      progress: { phase: "train", step: 4 },
      adapter: null,
      verdict: null,
      gate: null,
      metrics: null,
    };
    expect(rounds.map((round) => round.id)).toEqual(["new", "old"]);
    expect(rounds[0]).toEqual(running);
    expect(rounds[1]).toMatchObject({ verdict: "rejected", gate: { verdict: "rejected" }, metrics: { loss: 0.5 } });
    expect(await expectJson(await get("/v1/rounds/new"))).toEqual(running);
    await expectError(await get("/v1/rounds/never"), 404);
  });
});

describe("ticks", () => {
  interface Head {
    id: number;
    slot: string;
    policyVersion: number;
    inputsSha256: string;
    planSha256: string;
  }
  interface Explained {
    tick: Head;
    summary: string[];
    regions: { region: string; pairs: number; lines: { pairs: number }[]; why: string[]; otherwise: string[] }[];
  }
  const counting = "counting/count-near/en/image";
  const idle = "spatial/role-swap/en/image";
  const ids: number[] = [];
  beforeAll(async () => {
    await emptyLoop();
    await storeSources(Array.from({ length: 30 }, (_, i) => ({ id: `s${i}`, images: [imageOf(i)] })));
    await storeRegion("counting", "count-near", 10);
    await storeRegion("spatial", "role-swap", 3);
    for (const slot of ["one", "two", "three"]) {
      const answer = await call("POST", "/v1/ticks", { key: operator.key, json: { slot } });
      ids.push((await expectJson<{ id: number }>(answer, 201)).id);
    }
  });

  test("are listed in pages, the newest first", async () => {
    const page = async (query: string) =>
      expectJson<{ ticks: Head[]; next: number | null }>(await get(`/v1/ticks?${query}`));
    const all = await page("");
    expect(all.next).toBeNull();
    expect(all.ticks.map(({ slot }) => slot)).toEqual(["three", "two", "one"]);
    const first = await page("limit=2");
    expect([...first.ticks, ...(await page(`limit=2&before=${first.next}`)).ticks]).toEqual(all.ticks);
    await expectError(await get("/v1/ticks?before=0"), 400);
  });

  test("are explained region by region, what got nothing on request only", async () => {
    const explain = (query = "") => get(`/v1/ticks/${ids[0]}/explanation${query}`);
    const whole = await expectJson<Explained>(await explain());
    expect(whole.tick).toMatchObject({ id: ids[0], slot: "one" });
    expect(whole.summary.length).toBeGreaterThan(0);
    expect(whole.regions.map(({ region }) => region)).toEqual([counting]);
    for (const { pairs, lines, why, otherwise } of whole.regions) {
      expect(pairs).toBe(lines.reduce((sum, line) => sum + line.pairs, 0));
      expect(why.length).toBeGreaterThan(0);
      expect(otherwise.length).toBeGreaterThan(0);
    }
    const one = await expectJson<Explained>(await explain(`?region=${encodeURIComponent(counting)}`));
    const [brief] = whole.regions;
    expect(one.regions).toEqual([{ ...brief, otherwise: expect.arrayContaining(brief?.otherwise ?? []) }]);
    const nothing = await expectJson<Explained>(await explain(`?region=${encodeURIComponent(idle)}`));
    expect(nothing.regions).toEqual([expect.objectContaining({ region: idle, pairs: 0, lines: [] })]);
    expect(nothing.regions[0]?.why.length).toBeGreaterThan(0);
    await expectError(await explain("?region=counting/none/en/image"), 404);
    await expectError(await get("/v1/ticks/999/explanation"), 404);
  });

  test("give their stored bytes, from which the plan is made again", async () => {
    for (const id of ids) {
      const record = await expectJson<Head & { format: number; inputs: string; plan: string }>(
        await get(`/v1/ticks/${id}/record`),
      );
      expect(record.format).toBe(FORMAT);
      expect(sha256Hex(record.inputs)).toBe(record.inputsSha256);
      expect(sha256Hex(record.plan)).toBe(record.planSha256);
      expect(encodePlan(makePlan(decodeInputs(record.inputs)))).toBe(record.plan);
    }
    await expectError(await get("/v1/ticks/999/record"), 404);
  });

  test("of an older format are given as bytes, and else refused by name", async () => {
    await env.DB.prepare(
      `INSERT INTO ticks (id, slot, at, policy_version, seed, inputs, inputs_sha256, plan, plan_sha256, jobs)
       SELECT 900, 'older', 0, policy_version, 0, '{}', inputs_sha256, '{"lines":[]}', plan_sha256, 0 FROM ticks WHERE id = ?1`,
    )
      .bind(ids[0] ?? 0)
      .run();
    for (const path of ["/v1/ticks/900", "/v1/ticks/900/explanation"]) {
      const error = await expectError(await get(path), 422);
      expect(error.message).toContain("format 1");
      expect(error.message).toContain("/v1/ticks/900/record");
    }
    expect(await expectJson(await get("/v1/ticks/900/record"))).toMatchObject({ format: 1, inputs: "{}" });
    const { ticks } = await expectJson<{ ticks: Head[] }>(await get("/v1/ticks?limit=1"));
    expect(ticks.map(({ slot }) => slot)).toEqual(["older"]);
  });
});

test("the tables that are read have the columns that the migrations made", async () => {
  for (const table of Object.values(schema)) {
    const { name, columns } = getTableConfig(table);
    const { results } = await env.DB.prepare(`SELECT name, type, "notnull" AS required FROM pragma_table_info(?1)`)
      .bind(name)
      .all<{ name: string; type: string; required: number }>();
    const made = results.map((column) => [column.name, column.type.toLowerCase()]);
    const read = columns.map((column) => [column.name, column.getSQLType().toLowerCase()]);
    expect(made, name).toEqual(expect.arrayContaining(read));
    const optional = results.filter((column) => !column.required).map((column) => column.name);
    const nullable = columns.filter((column) => !column.notNull && !column.primary).map((column) => column.name);
    expect(optional, name).toEqual(expect.arrayContaining(nullable));
    expect(nullable, name).toEqual(
      expect.arrayContaining(optional.filter((c) => read.some(([r]) => r === c && !isKey(columns, c)))),
    );
  }
});

function isKey(columns: { name: string; primary: boolean }[], name: string): boolean {
  return columns.some((column) => column.name === name && column.primary);
}
