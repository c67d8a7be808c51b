import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { errorsOf } from "../../shared/contracts/api/errors.ts";
import { type Operation, TAGS } from "../../shared/contracts/api/operation.ts";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import { ERROR_STATUS } from "../../shared/contracts/common.ts";
import { HOLD_REASONS } from "../../shared/contracts/ingest.ts";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { ADMIN_KEY, call, createKey, expectJson, makePng, postEvents, sha256Of, testEvent } from "./support.ts";

interface Content {
  readonly [mediaType: string]: { readonly schema?: object; readonly example?: unknown };
}
interface Documented {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security: readonly Record<string, unknown>[];
  readonly parameters?: readonly { readonly in: string; readonly name: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly $ref?: string; readonly content?: Content }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Documented>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

const operations: Readonly<Record<string, Operation>> = OPERATIONS;

let document: Document;
let calls: Map<string, Documented & { readonly method: string; readonly path: string }>;
beforeAll(async () => {
  document = await expectJson<Document>(await call("GET", "/openapi.json"));
  calls = new Map(
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, each]) => [
        each.operationId,
        { ...each, method: method.toUpperCase(), path },
      ]),
    ),
  );
});

/** Every object within a value, itself included. */
function* objectsIn(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield value as Record<string, unknown>;
  for (const child of Object.values(value)) yield* objectsIn(child);
}

/** A schema of the document as zod reads it; objects are closed, so that an answer has no field that is not documented. */
function validator(schema: object): z.ZodType {
  const whole = structuredClone({ ...schema, $defs: document.components.schemas }) as Record<string, unknown>;
  for (const one of objectsIn(whole)) {
    if (typeof one.$ref === "string") one.$ref = one.$ref.replace("#/components/schemas/", "#/$defs/");
    if (one.type === "object" && one.properties !== undefined) one.additionalProperties ??= false;
  }
  return z.fromJSONSchema(whole as Parameters<typeof z.fromJSONSchema>[0]);
}

describe("the document", () => {
  test("is OpenAPI 3.1, and the same each time", async () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(await expectJson(await call("GET", "/openapi.json"))).toEqual(document);
  });

  test("has every operation of the table, once, and nothing else", () => {
    const documented = [...calls.values()].map(({ operationId, method, path }) => [operationId, method, path]);
    const known = Object.entries(operations).map(([id, { method, path }]) => [id, method, path]);
    expect(documented.sort()).toEqual(known.sort());
    expect(new Set(documented.map(([id]) => id)).size).toBe(documented.length);
  });

  test("has no reference that leads nowhere", () => {
    const refs = [...objectsIn(document)].flatMap(({ $ref }) => (typeof $ref === "string" ? [$ref] : []));
    expect(refs.length).toBeGreaterThan(100);
    for (const ref of new Set(refs)) {
      const [root, ...steps] = ref.split("/");
      expect(root).toBe("#");
      const found = steps.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
      expect(found, ref).toBeTypeOf("object");
    }
  });

  test("says of every operation who may call it, and declares what stands in its path", () => {
    for (const [id, { access, path, link, tag }] of Object.entries(operations)) {
      const { security, parameters = [], tags } = calls.get(id) as Documented;
      const ways = security.flatMap((way) => Object.keys(way));
      const scopes: readonly string[] = access === "open" ? [] : access;
      expect(ways.includes("key"), id).toBe(access !== "open");
      expect(ways.includes("token"), id).toBe(scopes.includes("feedback"));
      expect(ways.includes("link"), id).toBe(link === true);
      const inPath = parameters.filter((one) => one.in === "path" && one.required).map(({ name }) => `{${name}}`);
      expect(inPath.sort(), id).toEqual((path.match(/\{\w+\}/g) ?? []).sort());
      expect(tags).toEqual([tag]);
      expect(Object.keys(TAGS)).toContain(tag);
    }
    for (const way of ["key", "token", "link"]) expect(document.components.securitySchemes).toHaveProperty(way);
  });

  test("has every answer of the table and every error that comes with it", () => {
    for (const [id, operation] of Object.entries(operations)) {
      const statuses = Object.keys(calls.get(id)?.responses ?? {});
      const wanted = [
        ...Object.keys(operation.answers),
        ...errorsOf(operation).map((code) => String(ERROR_STATUS[code])),
      ];
      expect(statuses.sort(), id).toEqual([...new Set(wanted)].sort());
    }
  });

  test("has examples that are valid, by itself and by the contract", () => {
    let examples = 0;
    for (const [id, operation] of Object.entries(operations)) {
      for (const [type, { schema, example }] of Object.entries(calls.get(id)?.requestBody?.content ?? {})) {
        if (example === undefined || !schema) continue;
        examples += 1;
        expect(validator(schema).safeParse(example).error, `${id} ${type}`).toBeUndefined();
        const { body } = operation;
        if (body?.kind === "json") expect(body.schema.safeParse(example).error, id).toBeUndefined();
        if (body?.kind === "events" && type !== "application/json") {
          expect(body.event.safeParse(example).error, id).toBeUndefined();
        }
      }
    }
    expect(examples).toBeGreaterThanOrEqual(5);
  });

  test("has an example of an event that is stored", async () => {
    const { key } = await createKey(["ingest"]);
    for (const id of ["submitFailures", "submitPairs"]) {
      const { path, requestBody } = calls.get(id) as Documented & { path: string };
      const json = requestBody?.content["application/json"]?.example;
      const { results } = await expectJson<{ results: { status: string }[] }>(await call("POST", path, { key, json }));
      expect(results.map(({ status }) => status)).toEqual(["stored"]);
    }
  });
});

describe("real answers are as documented", () => {
  let client: string;
  let image: string;
  let failure: string;
  let keyId: string;
  beforeAll(async () => {
    const made = await createKey(["ingest"]);
    [client, keyId] = [made.key, made.id];
    const png = await makePng({ width: 3, height: 2 });
    image = await sha256Of(png);
    await call("PUT", `/v1/images/${image}`, { key: client, body: png });
    await postEvents(client, [testEvent("documented"), testEvent("waits", { reference: undefined, rating: "down" })]);
    const row = await env.DB.prepare("SELECT id FROM failures WHERE event_id = 'waits'").first<{ id: string }>();
    failure = row?.id ?? "";
    await call("POST", "/v1/ticks", { key: ADMIN_KEY, json: { slot: "documented" } });
  });

  /** Calls, and holds the answer against the document. */
  async function check(id: string, path: string, status: number, json?: unknown, key: string | undefined = ADMIN_KEY) {
    const documented = calls.get(id);
    const response = await call(documented?.method ?? "", path, {
      ...(key && { key }),
      ...(json !== undefined && { json }),
    });
    const text = await response.text();
    expect(response.status, `${id}: ${text}`).toBe(status);
    const told = documented?.responses[status] ?? {};
    const content = told.$ref
      ? (document.components.responses?.[told.$ref.split("/").at(-1) ?? ""] as { content?: Content } | undefined)
          ?.content
      : told.content;
    const schema = content?.["application/json"]?.schema;
    if (!schema) expect(text).toBe("");
    else expect(validator(schema).safeParse(JSON.parse(text)).error, id).toBeUndefined();
  }

  test("those of operators", async () => {
    const policy = { version: 1, document: DEFAULT_POLICY, reason: "a test" };
    await check("listFailures", "/v1/failures?state=waiting&limit=5", 200);
    await check("getFailure", `/v1/failures/${failure}`, 200);
    await check("answerFailure", `/v1/failures/${failure}/answer`, 200, { answer: "There are two dogs." });
    await check("releaseFailures", "/v1/failures/release", 200, { reason: HOLD_REASONS[0] });
    await check("getIntake", "/v1/intake", 200);
    await check("getPolicy", "/v1/policy", 200);
    await check("setPolicy", "/v1/policy", 200, policy);
    await check("setPolicy", "/v1/policy", 409, policy);
    await check("getPolicyFields", "/v1/policy/fields", 200);
    await check("previewPolicy", "/v1/policy/preview", 200, { document: { scheduler: { budgetPairs: 5 } } });
    await check("getPolicyHistory", "/v1/policy/history?limit=1", 200);
    await check("getPolicyDiff", "/v1/policy/diff?from=1", 200);
    await check("getPolicyDiff", "/v1/policy/diff?from=77", 404);
    await check("rollbackPolicy", "/v1/policy/rollback", 200, { version: 2, to: 1, reason: "a test" });
    await check("rollbackPolicy", "/v1/policy/rollback", 409, { version: 2, to: 1, reason: "a test" });
    await check("getRegions", "/v1/regions?limit=5", 200);
    await check("getSpending", "/v1/spending?days=7", 200);
    await check("getAudit", "/v1/audit?action=policy.", 200);
    await check("runTick", "/v1/ticks", 201, {});
    await check("runTick", "/v1/ticks", 200, { slot: "documented" });
    await check("getTick", "/v1/ticks/1", 200);
    await check("getTick", "/v1/ticks/x", 400);
    await check("getTicks", "/v1/ticks?limit=1", 200);
    await check("explainTick", "/v1/ticks/1/explanation", 200);
    await check("explainTick", "/v1/ticks/1/explanation?region=none", 404);
    await check("getTickRecord", "/v1/ticks/1/record", 200);
    await check("getTickJobs", "/v1/ticks/1/jobs", 200);
    await check("listPairs", "/v1/pairs?state=ready&limit=5", 200);
    await check("getPair", "/v1/pairs/none", 404);
    await check("movePairs", "/v1/pairs/move", 200, { ids: ["none"], to: "restore", reason: "a test" });
    await check("getRounds", "/v1/rounds", 200);
    await check("getRound", "/v1/rounds/none", 404);
    await check("listKeys", "/v1/keys", 200);
    await check("createKey", "/v1/keys", 201, { client: "documented", scopes: ["train"] });
    await check("rotateKey", `/v1/keys/${keyId}/rotate`, 201, {});
    await check("rotateKey", `/v1/keys/${keyId}/rotate`, 409, {});
    await check("closeKey", `/v1/keys/${keyId}`, 204);
    await check("listErasures", "/v1/erasures", 200);
    await check("requestErasure", "/v1/erasures", 202, { image });
    await check("requestErasure", "/v1/erasures", 404, { client: "nobody" });
  });

  test("those of clients and trainers", async () => {
    const { key } = await createKey(["ingest", "train"]);
    await check("submitFailures", "/v1/failures", 200, { events: [testEvent("again"), {}] }, key);
    await check("submitFailures", "/v1/failures", 400, { events: [] }, key);
    await check("submitFailures", "/v1/failures", 401, { events: [] }, "nm_nobody");
    await check("listMissingImages", "/v1/images/missing", 200, { sha256: ["0".repeat(64)] }, key);
    await check("putImage", `/v1/images/${"0".repeat(64)}`, 422, {}, key);
    await check("getImage", `/v1/images/${"0".repeat(64)}`, 404, undefined, key);
    await check("claimRound", "/v1/rounds", 200, { trainer: "documented" }, key);
    await check("getChampion", "/v1/adapters/champion", 200, undefined, key);
    await check("rollBack", "/v1/adapters/rollback", 409);
    await check("getLiveness", "/healthz", 200, undefined, "");
    await check("getReadiness", "/readyz", 200, undefined, "");
  });
});

describe("the page for readers", () => {
  let page: string;
  let policy: string;
  beforeAll(async () => {
    const response = await call("GET", "/docs");
    expect(response.headers.get("content-type")).toMatch(/^text\/html/);
    policy = response.headers.get("content-security-policy") ?? "";
    page = await response.text();
  });

  test("tells of every operation and every error", () => {
    for (const [id, { summary }] of Object.entries(operations)) {
      expect(page).toContain(`<article id="${id}">`);
      expect(page).toContain(`href="#${id}"`);
      expect(page).toContain(summary.replaceAll("'", "&#39;"));
    }
    const linked = new Set([...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id));
    for (const id of linked) expect(page, id).toContain(`id="${id}"`);
    for (const field of ["eventId", "conversation", "correction", "responses", "eventsPerMinute", "learningRate"]) {
      expect(page).toContain(`<code>${field}</code>`);
    }
  });

  test("runs nothing, loads nothing, and may not: its one style is named by its hash", async () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\bon\w+=|\bsrc=|url\(|@import/i);
    expect([...page.matchAll(/href="([^"]*)"/g)].every(([, to]) => /^[#/][^/]/.test(to ?? ""))).toBe(true);
    const [, style = ""] = /<style>(.*?)<\/style>/s.exec(page) ?? [];
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style)));
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`style-src 'sha256-${btoa(String.fromCharCode(...digest))}'`);
    expect(policy).not.toContain("unsafe");
  });
});
