import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Operation } from "../../shared/contracts/api/operation.ts";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { Scope } from "../../shared/contracts/common.ts";
import { SCOPES } from "../../shared/contracts/common.ts";
import { createKeyRequest } from "../../shared/contracts/operator.ts";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { buildApp } from "../../workers/app.ts";
import type { Env } from "../../workers/env.ts";
import { demand } from "../../workers/http/auth.ts";
import type { Actor } from "../../workers/http/context.ts";
import { getImage, listMissing, putImage } from "../../workers/ingest/images.ts";
import { makeLink } from "../../workers/ingest/links.ts";
import { answerFailure, getFailure, getIntake, listFailures, releaseHeld } from "../../workers/ingest/review.ts";
import { submitEvents } from "../../workers/ingest/submit.ts";
import { makeToken } from "../../workers/ingest/tokens.ts";
import { getAudit } from "../../workers/operator/audit.ts";
import { closeKey, createKey, listKeys, rotateKey } from "../../workers/operator/keys.ts";
import { getMetrics } from "../../workers/operator/metrics.ts";
import {
  getPolicy,
  getPolicyDiff,
  getPolicyFields,
  getPolicyHistory,
  rollbackPolicy,
  setPolicy,
} from "../../workers/operator/policy.ts";
import { previewPolicy } from "../../workers/operator/preview.ts";
import { getRegions, getRound, getRounds, getSpending } from "../../workers/operator/views.ts";
import { decidePairs } from "../../workers/pairs/move.ts";
import { getPair, getPairs } from "../../workers/pairs/views.ts";
import { getErasure, listErasures, requestErasure } from "../../workers/retention/requests.ts";
import {
  demandTick,
  explainTick,
  getTick,
  getTickJobs,
  getTickRecord,
  getTicks,
} from "../../workers/scheduler/views.ts";
import { ADMIN_KEY, call, expectError, createKey as makeKey, type TestKey } from "./support.ts";

/** Who may call what, written down apart from the code. `admin` may call everything. */
const ACCESS: Readonly<Record<string, readonly Scope[] | "open">> = {
  "GET /healthz": "open",
  "GET /readyz": "open",
  "GET /openapi.json": "open",
  "GET /docs": "open",
  "GET /metrics": ["observe", "operate"],
  "POST /v1/failures": ["ingest", "feedback"],
  "POST /v1/pairs": ["ingest", "feedback"],
  "POST /v1/images/missing": ["ingest", "feedback"],
  "PUT /v1/images/{}": ["ingest", "feedback"],
  "GET /v1/images/{}": ["train", "operate"],
  "POST /v1/tokens": ["ingest"],
  "POST /v1/links": ["train", "operate"],
  "GET /v1/failures": ["operate"],
  "GET /v1/failures/{}": ["operate"],
  "POST /v1/failures/{}/answer": ["operate"],
  "POST /v1/failures/release": ["operate"],
  "GET /v1/intake": ["operate"],
  "POST /v1/keys": ["admin"],
  "GET /v1/keys": ["admin"],
  "POST /v1/keys/{}/rotate": ["admin"],
  "DELETE /v1/keys/{}": ["admin"],
  "POST /v1/erasures": ["admin"],
  "GET /v1/erasures": ["admin"],
  "GET /v1/erasures/{}": ["admin"],
  "GET /v1/policy": ["operate"],
  "PUT /v1/policy": ["operate"],
  "GET /v1/policy/fields": ["operate"],
  "POST /v1/policy/preview": ["operate"],
  "GET /v1/policy/history": ["operate"],
  "GET /v1/policy/diff": ["operate"],
  "POST /v1/policy/rollback": ["operate"],
  "GET /v1/regions": ["operate"],
  "GET /v1/spending": ["operate"],
  "GET /v1/audit": ["operate"],
  "GET /v1/pairs": ["operate"],
  "GET /v1/pairs/{}": ["operate"],
  "POST /v1/pairs/move": ["operate"],
  "GET /v1/rounds": ["operate"],
  "GET /v1/rounds/{}": ["operate"],
  "POST /v1/ticks": ["operate"],
  "GET /v1/ticks": ["operate"],
  "GET /v1/ticks/{}": ["operate"],
  "GET /v1/ticks/{}/explanation": ["operate"],
  "GET /v1/ticks/{}/record": ["operate"],
  "GET /v1/ticks/{}/jobs": ["operate"],
  "POST /v1/rounds": ["train"],
  "GET /v1/rounds/{}/pairs": ["train"],
  "GET /v1/rounds/{}/gate": ["train"],
  "POST /v1/rounds/{}/heartbeat": ["train"],
  "POST /v1/rounds/{}/reports": ["train"],
  "POST /v1/rounds/{}/complete": ["train"],
  "POST /v1/rounds/{}/release": ["train"],
  "PUT /v1/adapters/{}": ["train"],
  "GET /v1/adapters/{}": ["ingest", "train"],
  "GET /v1/adapters/champion": ["ingest", "train"],
  "POST /v1/adapters/rollback": ["operate"],
};

/** The routes that exist, from the router itself, so that none escapes the table; one entry per handler. */
const handlers = buildApp()
  .routes.filter((route) => route.method !== "ALL")
  .map((route) => `${route.method} ${route.path.replaceAll(/:[^/]+/g, "{}")}`);
const routes = [...new Set(handlers)];
const guarded = routes.filter((route) => ACCESS[route] !== "open");

const ID = "0".repeat(64);

function attempt(route: string, key?: string): Promise<Response> {
  const [method = "", path = ""] = route.split(" ");
  return call(method, path.replaceAll("{}", ID), { ...(key !== undefined && { key }) });
}

test("the router has the routes of the table of operations, and each has its access as written down here", () => {
  const operations: Readonly<Record<string, Operation>> = OPERATIONS;
  const access = Object.fromEntries(
    Object.values(operations).map(({ method, path, access }) => [
      `${method} ${path.replaceAll(/\{[^}]+\}/g, "{}")}`,
      access,
    ]),
  );
  expect([...routes].sort()).toEqual(Object.keys(access).sort());
  expect(access).toEqual(ACCESS);
});

let keys: Record<Scope, TestKey>;
let closed: Record<string, string | undefined>;
beforeAll(async () => {
  const made = await Promise.all(SCOPES.map(async (scope) => [scope, await makeKey([scope])] as const));
  keys = Object.fromEntries(made) as Record<Scope, TestKey>;
  const [revoked, expired] = [await makeKey(["admin"]), await makeKey(["admin"])];
  expect((await call("DELETE", `/v1/keys/${revoked.id}`, { key: ADMIN_KEY })).status).toBe(204);
  await env.DB.prepare("UPDATE api_keys SET expires_at = 1 WHERE id = ?1").bind(expired.id).run();
  closed = {
    none: undefined,
    empty: "",
    "without a prefix": "secret",
    "a prefix only": "nm_",
    unknown: `nm_${"A".repeat(43)}`,
    "nearly the first admin key": `${ADMIN_KEY.slice(0, -1)}x`,
    "two at once": `${ADMIN_KEY} ${ADMIN_KEY}`,
    "a token that nobody signed": "nmt_e30.e30.AAAA",
    revoked: revoked.key,
    expired: expired.key,
  };
});

describe.each(guarded)("%s", (route) => {
  test("has its checks in front of its handler", () => {
    const [method = "", path = ""] = route.split(" ");
    const counted = method === "POST" && ["/v1/failures", "/v1/pairs"].includes(path) ? 0 : 1;
    expect(handlers.filter((each) => each === route)).toHaveLength(3 + counted);
  });

  test("refuses a key that opens nothing with 401", async () => {
    for (const [name, key] of Object.entries(closed)) {
      const response = await attempt(route, key);
      expect(response.headers.get("www-authenticate"), name).toBe("Bearer");
      expect((await expectError(response, 401)).code, name).toBe("unauthorized");
    }
  });

  test("refuses every scope but its own with 403, and lets its own and admin in", async () => {
    const allowed: readonly string[] = [...(ACCESS[route] ?? []), "admin"];
    for (const scope of SCOPES) {
      const response = await attempt(route, keys[scope].key);
      if (allowed.includes(scope)) {
        expect([401, 403], `${scope} is let in`).not.toContain(response.status);
        await response.body?.cancel();
      } else {
        expect((await expectError(response, 403)).code).toBe("forbidden");
      }
    }
  });
});

test.each(routes.filter((route) => ACCESS[route] === "open"))("%s needs no key", async (route) => {
  const response = await attempt(route);
  expect(response.status).toBe(200);
  await response.body?.cancel();
});

test("a key that is revoked stops working at once, and a second revocation is harmless", async () => {
  const key = await makeKey(["operate"]);
  expect((await call("GET", "/v1/policy", { key: key.key })).status).toBe(200);
  expect((await call("DELETE", `/v1/keys/${key.id}`, { key: ADMIN_KEY })).status).toBe(204);
  await expectError(await call("GET", "/v1/policy", { key: key.key }), 401);
  await env.DB.prepare("UPDATE api_keys SET revoked_at = 5 WHERE id = ?1").bind(key.id).run();
  expect((await call("DELETE", `/v1/keys/${key.id}`, { key: ADMIN_KEY })).status).toBe(204);
  const row = await env.DB.prepare("SELECT revoked_at FROM api_keys WHERE id = ?1").bind(key.id).first();
  expect(row, "the time of the first revocation stands").toEqual({ revoked_at: 5 });
  await expectError(await call("DELETE", "/v1/keys/unknown", { key: ADMIN_KEY }), 404);
});

test("of a key only the hash is stored", async () => {
  const key = await makeKey(["ingest"]);
  expect(key.key).toMatch(/^nm_[A-Za-z0-9_-]{43}$/);
  const rows = await Promise.all(
    ["api_keys", "clients", "audit_log"].map(
      async (table) => (await env.DB.prepare(`SELECT * FROM ${table}`).all()).results,
    ),
  );
  expect(JSON.stringify(rows)).not.toContain(key.key);
});

test("the scheme's name is not case-sensitive, the key is", async () => {
  const header = (authorization: string) => call("GET", "/v1/policy", { headers: { authorization } });
  expect((await header(`bearer ${ADMIN_KEY}`)).status).toBe(200);
  expect((await header(`Bearer ${ADMIN_KEY.toUpperCase()}`)).status).toBe(401);
  expect((await header(`Basic ${ADMIN_KEY}`)).status).toBe(401);
});

test("the first admin key opens only where its hash is configured", async () => {
  const attemptWith = async (ADMIN_KEY_SHA256: string | undefined) => {
    const bindings = { ...env, ADMIN_KEY_SHA256 } as Env;
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    return (await buildApp().request("/v1/policy", { headers }, bindings)).status;
  };
  const hash = env.ADMIN_KEY_SHA256 ?? "";
  expect(await attemptWith(hash)).toBe(200);
  expect(await attemptWith(` ${hash.toUpperCase()}\n`)).toBe(200);
  for (const closed of [undefined, "", "0", ADMIN_KEY, hash.slice(1), `${hash}0`, "0".repeat(64)]) {
    expect(await attemptWith(closed), String(closed)).toBe(401);
  }
});

const CLIENT = {
  kind: "key",
  keyId: "k",
  clientId: "c",
  reportCap: 3,
  eventsPerMinute: 1,
  requestsPerMinute: 1,
} as const;

test("every verb demands the scope by itself, should its route forget to", async () => {
  const nobody: Actor = { ...CLIENT, scopes: [] };
  const document = DEFAULT_POLICY;
  const verbs = [
    submitEvents(env, nobody, "failure", { text: "{}", isLines: false }, 0, () => {}),
    submitEvents(env, nobody, "pair", { text: "{}", isLines: true }, 0, () => {}),
    putImage(env, nobody, ID, new Uint8Array(), 0),
    getImage(env, nobody, ID),
    listMissing(env, nobody, [ID], 0),
    makeToken(env, nobody, { model: "m", origin: "https://app.example", ttlMs: 1_000 }, 0),
    makeLink(env, nobody, { sha256: ID, ttlMs: 1_000 }, "https://edge.test", 0),
    listFailures(env, nobody, { state: "waiting", limit: 1 }),
    getFailure(env, nobody, "id"),
    answerFailure(env, nobody, "id", { answer: "a" }, 0),
    releaseHeld(env, nobody, { reason: "unknown-model" }, 0),
    getIntake(env, nobody, 0),
    getMetrics(env, nobody, 0),
    requestErasure(env, nobody, { client: "c" }, 0),
    getErasure(env, nobody, "id"),
    listErasures(env, nobody),
    createKey(env, nobody, createKeyRequest.parse({ client: "c", scopes: ["admin"] }), 0),
    listKeys(env, nobody),
    rotateKey(env, nobody, "id", { overlapMs: 0 }, 0),
    closeKey(env, nobody, "id", 0),
    getPolicy(env, nobody),
    setPolicy(env, nobody, { version: 1, document, reason: "r" }, 0),
    getPolicyFields(nobody),
    previewPolicy(env, nobody, { document }, 0),
    getPolicyHistory(env, nobody, { limit: 1 }),
    getPolicyDiff(env, nobody, { from: 1 }),
    rollbackPolicy(env, nobody, { version: 2, to: 1, reason: "r" }, 0),
    getRegions(env, nobody, { offset: 0, limit: 1, archived: "no" }),
    getSpending(env, nobody, { days: 1 }),
    getAudit(env, nobody, { limit: 1 }),
    demandTick(env, nobody, {}, 0),
    getTicks(env, nobody, { limit: 1 }),
    getTick(env, nobody, 1),
    getTickJobs(env, nobody, 1),
    explainTick(env, nobody, 1, {}),
    getTickRecord(env, nobody, 1),
    getPairs(env, nobody, { limit: 1 }),
    getPair(env, nobody, "id"),
    decidePairs(env, nobody, { ids: ["id"], to: "reject", reason: "r" }, 0),
    getRounds(env, nobody),
    getRound(env, nobody, "id"),
  ];
  for (const outcome of await Promise.allSettled<unknown>(verbs)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "forbidden" } });
  }
});

test("a scope check lets the named scopes and admin pass", () => {
  const actor: Actor = { ...CLIENT, scopes: ["ingest"] };
  expect(() => demand(actor, "ingest", "train")).not.toThrow();
  expect(() => demand(actor, "train", "operate")).toThrow(/scope train or operate/);
  expect(() => demand({ kind: "bootstrap", scopes: ["admin"] }, "train")).not.toThrow();
  expect(() => demand({ kind: "system", scopes: [] }, "train")).toThrow();
});

test("unknown paths and methods are answered in the one error shape", async () => {
  const missing = await call("GET", "/nowhere");
  const shape = await expectError(missing, 404);
  expect(shape).toEqual({
    code: "not_found",
    message: expect.any(String),
    requestId: missing.headers.get("x-request-id"),
  });
  await expectError(await call("GET", "/v1/nowhere", { key: ADMIN_KEY }), 404);
  const wrongMethod = await call("PATCH", "/v1/policy", { key: ADMIN_KEY });
  expect(wrongMethod.headers.get("allow")).toBe("GET, PUT");
  expect((await expectError(wrongMethod, 405)).code).toBe("method_not_allowed");
  await expectError(await call("DELETE", "/healthz"), 405);
});
