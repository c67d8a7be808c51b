import { env } from "cloudflare:workers";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import * as schema from "../../workers/store/schema.ts";
import { ADMIN_KEY, call, countRows, createKey, expectError, expectJson, postEvents, testEvent } from "./support.ts";

let operator: { id: string; key: string };
beforeAll(async () => {
  operator = await createKey(["operate"]);
});

const get = (path: string) => call("GET", path, { key: operator.key });

interface Policy {
  version: number;
  document: typeof DEFAULT_POLICY;
  author: string;
  reason: string;
}

describe("the policy", () => {
  const put = (json: unknown) => call("PUT", "/v1/policy", { key: operator.key, json });

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

describe("what operators see", () => {
  test("regions, the heaviest first", async () => {
    const client = await createKey(["ingest"]);
    await postEvents(client.key, [
      testEvent("r1"),
      testEvent("r2", { task: "colour", errorType: "attribute" }),
      testEvent("r3", { task: "colour", errorType: "attribute" }),
    ]);
    const { regions } = await expectJson<{ regions: Record<string, unknown>[] }>(await get("/v1/regions"));
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
      backlog: 0,
      scored: 0,
      chosenLogRatio: 0,
    });
  });

  test("rounds, the newest first, with what decided them", async () => {
    const { version } = await expectJson<Policy>(await get("/v1/policy"));
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
