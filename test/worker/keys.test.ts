import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createKeyRequest, keysResponse } from "../../shared/contracts/operator.ts";
import { DAY_MS } from "../../shared/time.ts";
import type { KeyActor } from "../../workers/http/context.ts";
import { KEY_CACHE_MS } from "../../workers/http/key-cache.ts";
import { closeKey, createKey, listKeys, rotateKey } from "../../workers/operator/keys.ts";
import { ADMIN, keyWith, knock, statusOf, watched } from "./door.ts";
import { expectError, sha256Of } from "./support.ts";

const NOW_MS = 1_760_000_052_345;
const OVERLOADED = "D1_ERROR: D1 DB is overloaded. Too many requests queued.";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

async function listed(id: string) {
  return (await listKeys(env, ADMIN)).keys.find((key) => key.id === id);
}

async function audited(id: string) {
  const statement = env.DB.prepare("SELECT actor, action, details FROM audit_log WHERE subject = ?1 ORDER BY id");
  return (await statement.bind(id).all()).results;
}

/** Changes a key behind the isolate's back, as another isolate would. */
async function changeElsewhere(id: string, column: "revoked_at" | "expires_at", value: number): Promise<void> {
  await env.DB.prepare(`UPDATE api_keys SET ${column} = ?2 WHERE id = ?1`).bind(id, value).run();
}

describe("a key", () => {
  test("that was revoked here is refused at once", async () => {
    const { id, key } = await keyWith();
    expect(await statusOf(key)).toBe(200);
    await closeKey(env, ADMIN, id, NOW_MS);
    expect(await statusOf(key)).toBe(401);
  });

  test("that was revoked elsewhere is refused here after the cache's time, and not before that", async () => {
    const { id, key } = await keyWith();
    expect(await statusOf(key)).toBe(200);
    await changeElsewhere(id, "revoked_at", NOW_MS);
    vi.setSystemTime(NOW_MS + KEY_CACHE_MS - 1);
    expect(await statusOf(key)).toBe(200);
    vi.setSystemTime(NOW_MS + KEY_CACHE_MS);
    expect(await statusOf(key)).toBe(401);
  });

  test("expires to the millisecond, though it is held", async () => {
    const { key } = await keyWith({ expiresAt: NOW_MS + 1_000 });
    vi.setSystemTime(NOW_MS + 999);
    expect(await statusOf(key)).toBe(200);
    vi.setSystemTime(NOW_MS + 1_000);
    expect(await statusOf(key)).toBe(401);
  });

  test("that is held costs no query to recognize, and needs no database", async () => {
    const { key } = await keyWith({ scopes: ["train"] });
    const first = watched();
    expect(await statusOf(key, first)).toBe(200);
    const counting = watched();
    expect(await statusOf(key, counting)).toBe(200);
    expect([first.statements(), counting.statements()], "one of them counts the call").toEqual([2, 1]);
    const away = watched(OVERLOADED);
    const response = await knock("/", { authorization: `Bearer ${key}` }, away);
    expect(away.statements(), "only the counting was tried").toBe(1);
    expect(response.status).toBe(503);
  });

  test("that is not held is not refused for good while the database is busy", async () => {
    const { key } = await keyWith();
    const response = await knock("/", { authorization: `Bearer ${key}` }, watched(OVERLOADED));
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await expectError(response, 503)).code).toBe("overloaded");
    expect(await statusOf(key)).toBe(200);
  });

  test("that is unknown is not remembered: made a moment later, it works", async () => {
    const { id, key } = await keyWith();
    await changeElsewhere(id, "revoked_at", NOW_MS);
    expect(await statusOf(key)).toBe(401);
    await env.DB.prepare("UPDATE api_keys SET revoked_at = NULL WHERE id = ?1").bind(id).run();
    expect(await statusOf(key)).toBe(200);
  });
});

describe("keys are made", () => {
  test("for one client a name, whose report cap is the latest", async () => {
    const first = await keyWith({ client: "gateway" });
    const second = await keyWith({ client: "gateway", scopes: ["ingest", "train", "ingest"], reportCap: 500 });
    expect(second.actor).toMatchObject({ clientId: first.actor.clientId, scopes: ["ingest", "train"] });
    const { results } = await env.DB.prepare("SELECT report_cap FROM clients WHERE name = 'gateway'").all();
    expect(results).toEqual([{ report_cap: 500 }]);
  });

  test("with rights and limits that the door goes by", async () => {
    const { key, actor } = await keyWith({ scopes: ["train"], eventsPerMinute: 7, requestsPerMinute: 8, reportCap: 9 });
    const response = await knock("/", { authorization: `Bearer ${key}` });
    expect(await response.json()).toEqual(actor);
  });

  test("to end in the future", async () => {
    const asked = { client: "late", scopes: ["ingest"], expiresAt: NOW_MS };
    await expect(createKey(env, ADMIN, createKeyRequest.parse(asked), NOW_MS)).rejects.toMatchObject({
      code: "bad_request",
      details: [{ path: "expiresAt" }],
    });
  });

  test("and closed with an entry in the audit log", async () => {
    const { id } = await keyWith({ client: "audited", scopes: ["train"], expiresAt: NOW_MS + 5 });
    await closeKey(env, ADMIN, id, NOW_MS);
    const granted = { scopes: ["train"], eventsPerMinute: 60_000, requestsPerMinute: 6_000, expiresAt: NOW_MS + 5 };
    expect(await audited(id)).toEqual([
      {
        actor: "bootstrap",
        action: "key.create",
        details: JSON.stringify({ client: "audited", reportCap: 3, ...granted }),
      },
      { actor: "bootstrap", action: "key.revoke", details: "{}" },
    ]);
  });
});

describe("the list of keys", () => {
  test("tells what a key may and when it was last used, and nothing that opens a door", async () => {
    const { id, key, actor } = await keyWith({ client: "listed", scopes: ["observe"] });
    const row = {
      id,
      clientId: actor.clientId,
      client: "listed",
      scopes: ["observe"],
      eventsPerMinute: 60_000,
      requestsPerMinute: 6_000,
      createdAt: NOW_MS,
      expiresAt: null,
      revokedAt: null,
      lastUsedAt: null,
      rotatedFrom: null,
    };
    expect(await listed(id)).toEqual(row);
    await statusOf(key);
    expect(await listed(id)).toEqual({ ...row, lastUsedAt: NOW_MS - (NOW_MS % 60_000) });
    const all = await listKeys(env, ADMIN);
    expect(keysResponse.parse(all)).toEqual(all);
    expect(JSON.stringify(all)).not.toContain(key);
    expect(JSON.stringify(all)).not.toContain(await sha256Of(new TextEncoder().encode(key)));
  });

  test("has live keys first, then the newest", async () => {
    const made = [];
    for (let n = 1; n <= 3; n++) {
      vi.setSystemTime(NOW_MS + 1_000_000 + n);
      made.push((await keyWith()).id);
    }
    const [oldest, middle, newest] = made;
    await closeKey(env, ADMIN, String(newest), NOW_MS);
    const order = (await listKeys(env, ADMIN)).keys.map((key) => key.id);
    expect(order.slice(0, 2)).toEqual([middle, oldest]);
    expect(order.indexOf(String(newest))).toBeGreaterThan(order.indexOf(String(oldest)));
  });
});

describe("a rotated key", () => {
  const rotate = (id: string, overlapMs = DAY_MS) => rotateKey(env, ADMIN, id, { overlapMs }, Date.now());

  test("works beside its successor until the overlap ends", async () => {
    const old = await keyWith();
    expect(await statusOf(old.key)).toBe(200);
    const successor = await rotate(old.id);
    expect(successor.key).not.toBe(old.key);
    vi.setSystemTime(NOW_MS + DAY_MS - 1);
    expect([await statusOf(old.key), await statusOf(successor.key)]).toEqual([200, 200]);
    vi.setSystemTime(NOW_MS + DAY_MS);
    expect([await statusOf(old.key), await statusOf(successor.key)]).toEqual([401, 200]);
  });

  test("is refused at once without an overlap, though it was held", async () => {
    const old = await keyWith();
    expect(await statusOf(old.key)).toBe(200);
    const successor = await rotate(old.id, 0);
    expect([await statusOf(old.key), await statusOf(successor.key)]).toEqual([401, 200]);
  });

  test("passes on its client, scopes, limits and expiry, and is named by its successor", async () => {
    const fields = {
      client: "inherited",
      scopes: ["ingest", "train"],
      eventsPerMinute: 7,
      requestsPerMinute: 8,
    } as const;
    const old = await keyWith({ ...fields, scopes: [...fields.scopes], expiresAt: NOW_MS + 2 * DAY_MS });
    vi.setSystemTime(NOW_MS + 5);
    const successor = await rotate(old.id);
    expect(successor).toMatchObject({ clientId: old.actor.clientId, scopes: fields.scopes });
    const before = { ...(await listed(old.id)), expiresAt: NOW_MS + 2 * DAY_MS };
    const inherited = { ...before, id: successor.id, createdAt: NOW_MS + 5, rotatedFrom: old.id };
    expect(await listed(successor.id)).toEqual(inherited);
    expect(await listed(old.id)).toMatchObject({ expiresAt: NOW_MS + 5 + DAY_MS, rotatedFrom: null });
  });

  test("does not live longer than it would have", async () => {
    const old = await keyWith({ expiresAt: NOW_MS + 1_000 });
    await rotate(old.id);
    expect(await listed(old.id)).toMatchObject({ expiresAt: NOW_MS + 1_000 });
  });

  test("must exist and be live, and is rotated once", async () => {
    const [revoked, expired, succeeded] = [await keyWith(), await keyWith({ expiresAt: NOW_MS + 1 }), await keyWith()];
    await closeKey(env, ADMIN, revoked.id, NOW_MS);
    const successor = await rotate(succeeded.id);
    vi.setSystemTime(NOW_MS + 1);
    for (const { id } of [revoked, expired, succeeded]) {
      await expect(rotate(id)).rejects.toMatchObject({ code: "conflict" });
    }
    await expect(rotate("unknown")).rejects.toMatchObject({ code: "not_found" });
    expect(await rotate(successor.id), "should its key be lost").toMatchObject({ scopes: ["ingest"] });
  });

  test("has one successor, however many rotate it at once, and one entry in the audit log", async () => {
    const { id } = await keyWith();
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => rotate(id)));
    const made = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    expect(made).toHaveLength(1);
    const details = JSON.stringify({ successor: made[0]?.id, overlapMs: DAY_MS });
    expect((await audited(id)).slice(1)).toEqual([{ actor: "bootstrap", action: "key.rotate", details }]);
    const successors = (await listKeys(env, ADMIN)).keys.filter((key) => key.rotatedFrom === id);
    expect(successors.map((key) => key.id)).toEqual([made[0]?.id]);
  });
});

test("keys are made, listed, rotated and closed by admins only", async () => {
  const operator: KeyActor = (await keyWith({ scopes: ["ingest", "train", "observe", "operate", "feedback"] })).actor;
  const verbs = [
    createKey(env, operator, createKeyRequest.parse({ client: "c", scopes: ["admin"] }), NOW_MS),
    listKeys(env, operator),
    rotateKey(env, operator, operator.keyId, { overlapMs: 0 }, NOW_MS),
    closeKey(env, operator, operator.keyId, NOW_MS),
  ];
  for (const outcome of await Promise.allSettled<unknown>(verbs)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "forbidden" } });
  }
});
