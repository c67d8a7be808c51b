import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLinkRequest, createTokenRequest } from "../../shared/contracts/ingest.ts";
import { buildApp } from "../../workers/app.ts";
import type { Actor } from "../../workers/http/context.ts";
import { putImage } from "../../workers/ingest/images.ts";
import { makeLink } from "../../workers/ingest/links.ts";
import { makeToken } from "../../workers/ingest/tokens.ts";
import { keyWith, knock, SIGNING_SECRET, tampered } from "./door.ts";
import { expectError, makePng, sha256Of } from "./support.ts";

const NOW_MS = 1_760_000_052_000;
const EDGE = "https://edge.test";
const IMAGE = "ab".repeat(32);
const signing = { SIGNING_SECRET };
const trainer: Actor = { kind: "system", scopes: ["train"] };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

function linkTo(sha256 = IMAGE, ttlMs = 60_000) {
  const request = createLinkRequest.parse({ sha256, ttlMs });
  return makeLink(signing, trainer, request, `${EDGE}/v1/links?x=1`, Date.now());
}

function open(path: string, method = "GET") {
  return knock(path, { method });
}

const pathOf = (url: string) => url.slice(EDGE.length);
const signedIn = (url: string) => new URL(url).searchParams.get("link") ?? "";

describe("a link", () => {
  test("opens its image without a key", async () => {
    const { url, expiresAt } = await linkTo();
    expect(url.startsWith(`${EDGE}/v1/images/${IMAGE}?link=`)).toBe(true);
    expect(expiresAt).toBe(NOW_MS + 60_000);
    const response = await open(pathOf(url));
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ kind: "link", scopes: ["train"] });
  });

  test("opens no other image, no other path and is no way to write", async () => {
    const link = signedIn((await linkTo()).url);
    const paths = [
      `/v1/images/${"cd".repeat(32)}`,
      `/v1/images/${IMAGE.toUpperCase()}`,
      `/v1/images/${IMAGE}/`,
      `/v1/images/${IMAGE}/more`,
      "/v1/images/missing",
      `/v1/adapters/${IMAGE}`,
    ];
    for (const path of paths) await expectError(await open(`${path}?link=${link}`), 401);
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      await expectError(await open(`/v1/images/${IMAGE}?link=${link}`, method), 401);
    }
  });

  test("expires when it says", async () => {
    const { url, expiresAt } = await linkTo(IMAGE, 1_500);
    vi.setSystemTime(expiresAt - 1);
    expect((await open(pathOf(url))).status).toBe(200);
    vi.setSystemTime(expiresAt);
    await expectError(await open(pathOf(url)), 401);
  });

  test("with any character replaced is refused", async () => {
    const link = signedIn((await linkTo()).url);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: link.length - 2 }), fc.nat(), async (at, shift) => {
        await expectError(await open(`/v1/images/${IMAGE}?link=${tampered(link, at, shift)}`), 401);
      }),
    );
  });

  test("and a browser token are no use in each other's place", async () => {
    const origin = "https://app.example";
    const request = createTokenRequest.parse({ model: "m", origin });
    const { token } = await makeToken(signing, (await keyWith()).actor, request, NOW_MS);
    await expectError(await open(`/v1/images/${IMAGE}?link=${token.slice("nmt_".length)}`), 401);
    const authorization = `Bearer nmt_${signedIn((await linkTo()).url)}`;
    await expectError(await knock("/v1/failures", { method: "POST", authorization, origin }), 401);
  });

  test("does not stand in for a key that is wrong", async () => {
    const { url } = await linkTo();
    for (const authorization of ["Bearer nm_wrong", "Basic x", ""]) {
      await expectError(await knock(pathOf(url), { authorization }), 401);
    }
  });

  test("is made by who may read images, and only with a secret", async () => {
    const request = createLinkRequest.parse({ sha256: IMAGE });
    const reporter = (await keyWith({ scopes: ["ingest", "feedback", "observe"] })).actor;
    await expect(makeLink(signing, reporter, request, EDGE, NOW_MS)).rejects.toMatchObject({ code: "forbidden" });
    await expect(makeLink({}, trainer, request, EDGE, NOW_MS)).rejects.toMatchObject({ code: "not_configured" });
  });
});

describe("the whole interface", () => {
  const app = buildApp();
  const request = (path: string, method = "GET") => app.request(path, { method }, { ...env, ...signing });

  test("gives a link its image's bytes, and says what is missing only to a link that is good", async () => {
    const bytes = await makePng({ width: 2, height: 2 }, 40);
    const stored = await sha256Of(bytes);
    await putImage(env, { kind: "system", scopes: ["ingest"] }, stored, bytes, NOW_MS);
    const response = await request(pathOf((await linkTo(stored)).url));
    expect(response.headers.get("content-type")).toBe("image/png");
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
    const { url } = await linkTo();
    await expectError(await request(pathOf(url)), 404);
    await expectError(await request(`${pathOf(url)}x`), 401);
  });

  test("lets a link in where it would ask for a key at one place only", async () => {
    const link = signedIn((await linkTo()).url);
    const statusOf = async (path: string, method: string) => {
      const response = await request(path, method);
      await response.body?.cancel();
      return response.status;
    };
    const opened = new Set<string>();
    for (const { method, path } of app.routes.filter((route) => route.method !== "ALL")) {
      const filled = path.replaceAll(/:[^/]+/g, IMAGE);
      if ((await statusOf(filled, method)) !== 401) continue;
      if ((await statusOf(`${filled}?link=${link}`, method)) !== 401) opened.add(`${method} ${path}`);
    }
    expect([...opened]).toEqual(["GET /v1/images/:sha256"]);
  });
});
