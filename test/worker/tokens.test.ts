import { env } from "cloudflare:workers";
import fc from "fast-check";
import { sign } from "hono/jwt";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createTokenRequest } from "../../shared/contracts/ingest.ts";
import { buildApp } from "../../workers/app.ts";
import type { Actor } from "../../workers/http/context.ts";
import { makeToken } from "../../workers/ingest/tokens.ts";
import { closeKey } from "../../workers/operator/keys.ts";
import { ADMIN, keyWith, knock, SIGNING_SECRET, tampered } from "./door.ts";
import { expectError, makePng, sha256Of } from "./support.ts";

const NOW_MS = 1_760_000_052_000;
const ORIGIN = "https://app.example";
const SHORT_SECRET = "x".repeat(31);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

const signing = { SIGNING_SECRET };

async function tokenOf(actor: Actor, fields: Record<string, unknown> = {}) {
  const request = createTokenRequest.parse({ model: "mini-1", origin: ORIGIN, ...fields });
  return makeToken(signing, actor, request, Date.now());
}

function bring(token: string, headers: Record<string, string> = { origin: ORIGIN }, bindings = {}) {
  return knock("/v1/failures", { method: "POST", authorization: `Bearer ${token}`, ...headers }, bindings);
}

/** A JSON Web Token with claims and a secret of one's own. */
function forged(claims: Record<string, unknown>, secret = SIGNING_SECRET, algorithm: "HS256" | "HS512" = "HS256") {
  return sign(claims, secret, algorithm);
}

describe("a browser token", () => {
  test("stands for its key with the right to report on one model, and for nothing else", async () => {
    const { actor } = await keyWith({ scopes: ["ingest", "operate"], eventsPerMinute: 7, reportCap: 5 });
    const { token, expiresAt } = await tokenOf(actor, { ttlMs: 60_000 });
    expect(expiresAt).toBe(NOW_MS + 60_000);
    const came = await (await bring(token)).json();
    expect(came).toEqual({ ...actor, kind: "token", scopes: ["feedback"], model: "mini-1", origin: ORIGIN });
  });

  test("has nothing in it that opens the door", async () => {
    const { key, actor } = await keyWith({ client: "a client's own name" });
    const [, payload = ""] = (await tokenOf(actor)).token.split(".");
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const exp = NOW_MS / 1_000 + 900;
    expect(claims).toEqual({
      iss: "nearmiss",
      aud: "feedback",
      sub: actor.keyId,
      model: "mini-1",
      origin: ORIGIN,
      exp,
    });
    expect(JSON.stringify(claims)).not.toContain(key);
  });

  test("works from its origin only", async () => {
    const { token } = await tokenOf((await keyWith()).actor);
    const others = [
      "https://app.example.evil",
      "http://app.example",
      "https://app.example:8443",
      "null",
      "https://APP.example",
    ];
    for (const origin of others)
      expect((await expectError(await bring(token, { origin }), 403)).code).toBe("forbidden");
    await expectError(await bring(token, {}), 403);
    expect((await bring(token)).status).toBe(200);
  });

  test("is made for the origin as browsers write it", async () => {
    const { actor } = await keyWith();
    const written = {
      "https://App.Example:443": ORIGIN,
      "http://BÜCHER.example:8080": "http://xn--bcher-kva.example:8080",
    };
    for (const [origin, sent] of Object.entries(written)) {
      expect((await bring((await tokenOf(actor, { origin })).token, { origin: sent })).status, origin).toBe(200);
    }
    for (const origin of ["https://[", "https://a\\b", "https://a:99999", "https://%"]) {
      const refused = { code: "bad_request", details: [{ path: "origin" }] };
      await expect(tokenOf(actor, { origin }), origin).rejects.toMatchObject(refused);
    }
  });

  test("expires when it says", async () => {
    const { token, expiresAt } = await tokenOf((await keyWith()).actor, { ttlMs: 1_500 });
    vi.setSystemTime(expiresAt - 1);
    expect((await bring(token)).status).toBe(200);
    vi.setSystemTime(expiresAt);
    expect((await expectError(await bring(token), 401)).code).toBe("unauthorized");
  });

  test("dies with its key: revoked or expired", async () => {
    const [revoked, expiring] = [await keyWith(), await keyWith({ expiresAt: NOW_MS + 1_000 })];
    const tokens = [(await tokenOf(revoked.actor)).token, (await tokenOf(expiring.actor)).token];
    for (const token of tokens) expect((await bring(token)).status).toBe(200);
    await closeKey(env, ADMIN, revoked.id, NOW_MS);
    vi.setSystemTime(NOW_MS + 1_000);
    for (const token of tokens) await expectError(await bring(token), 401);
  });

  test("uses up the calls of its key", async () => {
    const { key, actor } = await keyWith({ requestsPerMinute: 1 });
    const { token } = await tokenOf(actor);
    expect((await bring(token)).status).toBe(200);
    const refused = await bring(token);
    expect(refused.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    await expectError(refused, 429);
    await expectError(await knock("/", { authorization: `Bearer ${key}` }), 429);
  });

  test("with any character replaced is refused", async () => {
    const { token } = await tokenOf((await keyWith()).actor);
    // The last character holds two bits that belong to no byte of the signature.
    const place = fc.integer({ min: "nmt_".length, max: token.length - 2 });
    await fc.assert(
      fc.asyncProperty(place, fc.nat(), async (at, shift) => {
        await expectError(await bring(tampered(token, at, shift)), 401);
      }),
    );
  });

  test("that somebody else wrote is refused", async () => {
    const { actor } = await keyWith();
    const exp = NOW_MS / 1_000 + 60;
    const claims = { iss: "nearmiss", aud: "feedback", sub: actor.keyId, model: "m", origin: ORIGIN, exp };
    expect((await bring(`nmt_${await forged(claims)}`)).status, "so it would be right").toBe(200);
    const { exp: _, ...endless } = claims;
    const unsigned = `${btoa('{"alg":"none","typ":"JWT"}')}.${btoa(JSON.stringify(claims))}.`.replaceAll("=", "");
    const wrong = [
      await forged(claims, `${SIGNING_SECRET}.`),
      await forged(claims, SIGNING_SECRET, "HS512"),
      await forged(endless),
      await forged({ ...claims, aud: "image" }),
      await forged({ ...claims, iss: "somebody" }),
      await forged({ ...claims, sub: "no such key" }),
      await forged({ ...claims, origin: null }),
      unsigned,
      "",
      "..",
      "e30.bnVsbA.x",
      "a".repeat(5_000),
    ];
    for (const text of wrong) await expectError(await bring(`nmt_${text}`), 401);
  });

  test("is made by a client's key that may report, not by another token or the first admin key", async () => {
    const trainer = (await keyWith({ scopes: ["train", "operate", "feedback"] })).actor;
    const token: Actor = {
      ...(await keyWith()).actor,
      kind: "token",
      scopes: ["feedback"],
      model: "m",
      origin: ORIGIN,
    };
    for (const actor of [trainer, token, ADMIN])
      await expect(tokenOf(actor)).rejects.toMatchObject({ code: "forbidden" });
  });

  test("is neither made nor taken without a secret that is long enough", async () => {
    const { actor } = await keyWith();
    const request = createTokenRequest.parse({ model: "m", origin: ORIGIN });
    for (const env of [{}, { SIGNING_SECRET: "" }, { SIGNING_SECRET: SHORT_SECRET }]) {
      await expect(makeToken(env, actor, request, NOW_MS)).rejects.toMatchObject({ code: "not_configured" });
    }
    const exp = NOW_MS / 1_000 + 60;
    const claims = { iss: "nearmiss", aud: "feedback", sub: actor.keyId, model: "m", origin: ORIGIN, exp };
    const token = `nmt_${await forged(claims, SHORT_SECRET)}`;
    await expectError(await bring(token, { origin: ORIGIN }, { SIGNING_SECRET: SHORT_SECRET }), 401);
  });
});

test("over the whole interface a token stores images for its events, and does nothing else but report", async () => {
  const { token } = await tokenOf((await keyWith({ scopes: ["admin"] })).actor);
  const app = buildApp();
  const ask = (method: string, path: string, body?: BodyInit) => {
    const headers = { authorization: `Bearer ${token}`, origin: ORIGIN };
    return app.request(path, { method, headers, ...(body && { body }) }, { ...env, ...signing });
  };
  const bytes = await makePng({ width: 2, height: 2 }, 90);
  const image = `/v1/images/${await sha256Of(bytes)}`;
  expect((await ask("PUT", image, bytes)).status).toBe(201);
  const refused = ["GET /v1/policy", "POST /v1/tokens", "POST /v1/keys", `GET ${image}`];
  for (const call of refused) {
    const [method = "", path = ""] = call.split(" ");
    const response = await ask(method, path);
    expect(response.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect((await expectError(response, 403)).code, call).toBe("forbidden");
  }
});

describe("a page", () => {
  const preflight = (path: string, headers: Record<string, string> = {}) =>
    knock(path, { method: "OPTIONS", origin: ORIGIN, "access-control-request-method": "POST", ...headers });

  test("may ask, without a key, whether it may report", async () => {
    for (const path of ["/v1/failures", "/v1/pairs", `/v1/images/${"a".repeat(64)}`]) {
      const { status, headers } = await preflight(path);
      expect(status).toBe(204);
      expect(headers.get("access-control-allow-origin")).toBe(ORIGIN);
      expect(headers.get("access-control-allow-methods")).toBe("POST,PUT");
      expect(headers.get("access-control-allow-headers")).toBe("authorization,content-type,content-encoding");
      expect(Number(headers.get("access-control-max-age"))).toBeGreaterThan(0);
      expect(headers.get("access-control-allow-credentials")).toBeNull();
      expect(headers.get("vary")).toContain("Origin");
    }
  });

  test("may not ask for anything else", async () => {
    for (const path of ["/v1/keys", "/v1/policy", "/v1/failures/x", "/v1/images", "/v1/images/a/b", "/v1/rounds"]) {
      const response = await preflight(path);
      expect(response.headers.get("access-control-allow-origin"), path).toBeNull();
      await expectError(response, 401);
    }
    await expectError(await knock("/v1/failures", { method: "OPTIONS", origin: ORIGIN }), 401);
  });

  test("reads what its token brought, errors too", async () => {
    const { id, actor } = await keyWith();
    const { token } = await tokenOf(actor);
    const good = await bring(token);
    await closeKey(env, ADMIN, id, NOW_MS);
    const refused = await bring(token);
    expect([good.status, refused.status]).toEqual([200, 401]);
    for (const { headers } of [good, refused]) {
      expect(headers.get("access-control-allow-origin")).toBe(ORIGIN);
      expect(headers.get("access-control-expose-headers")).toBe("retry-after,x-request-id");
      expect(headers.get("vary")).toContain("Origin");
    }
  });

  test("reads nothing that a key brought", async () => {
    const { key } = await keyWith();
    for (const authorization of [`Bearer ${key}`, "Bearer nm_unknown", "Bearer nm_test-admin"]) {
      const { headers } = await knock("/v1/failures", { method: "POST", authorization, origin: ORIGIN });
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });
});
