import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { call, countRows, createKey, expectError, expectJson, makePng, sha256Of } from "./support.ts";

let client: string;
let trainer: string;
beforeAll(async () => {
  client = (await createKey(["ingest"])).key;
  trainer = (await createKey(["train"])).key;
});

function put(sha256: string, body: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
  return call("PUT", `/v1/images/${sha256}`, { key: client, body, headers });
}

async function isStored(sha256: string): Promise<{ row: boolean; blob: boolean }> {
  const row = await env.DB.prepare("SELECT 1 FROM images WHERE sha256 = ?1").bind(sha256).first();
  return { row: row !== null, blob: (await env.BLOBS.head(`images/${sha256}`)) !== null };
}

describe("an image that is sent", () => {
  test("is stored once under its hash and comes back byte for byte", async () => {
    const bytes = await makePng({ width: 20, height: 10 });
    const sha256 = await sha256Of(bytes);
    const first = await expectJson(await put(sha256, bytes, { "content-type": "text/html" }), 201);
    expect(first).toEqual({
      sha256,
      mediaType: "image/png",
      width: 20,
      height: 10,
      bytes: bytes.length,
      created: true,
    });
    expect(await expectJson(await put(sha256, bytes))).toEqual({ ...(first as object), created: false });

    const response = await call("GET", `/v1/images/${sha256}`, { key: trainer });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "image/png",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; sandbox",
      "cache-control": "private, max-age=31536000, immutable",
    });
  });

  test("is stored once when eight requests race", async () => {
    const bytes = await makePng({ width: 3, height: 3 }, 77);
    const sha256 = await sha256Of(bytes);
    const before = await countRows("images");
    const answers = await Promise.all(Array.from({ length: 8 }, () => put(sha256, bytes)));
    const created = await Promise.all(
      answers.map(async (answer) => (await answer.json<{ created: boolean }>()).created),
    );
    expect(created.filter(Boolean)).toHaveLength(1);
    expect(await countRows("images")).toBe(before + 1);
  });

  test("is read back only by those who may", async () => {
    await expectError(await call("GET", `/v1/images/${"0".repeat(64)}`, { key: trainer }), 404);
    await expectError(await call("GET", "/v1/images/..%2Fadapters", { key: trainer }), 400);
  });
});

describe("nothing is stored, neither row nor bytes, of", () => {
  let rowsBefore: number;
  beforeEach(async () => {
    rowsBefore = await countRows("images");
  });

  async function expectNothing(sha256: string) {
    expect(await isStored(sha256)).toEqual({ row: false, blob: false });
    expect(await countRows("images")).toBe(rowsBefore);
  }

  test("bytes with another hash", async () => {
    const bytes = await makePng({ width: 2, height: 2 }, 1);
    const other = await sha256Of(await makePng({ width: 2, height: 2 }, 2));
    expect((await expectError(await put(other, bytes), 422)).code).toBe("unprocessable");
    await expectNothing(other);
    await expectNothing(await sha256Of(bytes));
  });

  test("a path that is no hash", async () => {
    const bytes = await makePng({ width: 2, height: 2 }, 3);
    const upper = (await sha256Of(bytes)).toUpperCase();
    const error = await expectError(await put(upper, bytes), 400);
    expect(error.details).toEqual([{ path: "sha256", message: "must be 64 lower-case hex digits" }]);
    await expectNothing(await sha256Of(bytes));
  });

  test.each([
    ["text", "hello"],
    ["a page that calls itself an image", "<html><script>alert(1)</script></html>"],
    ["SVG", '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
    ["PDF", "%PDF-1.7\n"],
    ["no bytes", ""],
  ])("another type: %s", async (_name, text) => {
    const bytes = new TextEncoder().encode(text);
    const sha256 = await sha256Of(bytes);
    const error = await expectError(await put(sha256, bytes, { "content-type": "image/png" }), 415);
    expect(error.code).toBe("unsupported_type");
    await expectNothing(sha256);
  });

  test("a header that breaks off", async () => {
    const bytes = (await makePng({ width: 2, height: 2 }, 4)).slice(0, 20);
    const sha256 = await sha256Of(bytes);
    expect((await expectError(await put(sha256, bytes), 422)).message).toContain("image/png");
    await expectNothing(sha256);
  });

  test.each([
    ["one side too long", LIMITS.imageSidePx + 1, 1],
    ["too many pixels", 8_000, 8_000],
    ["the greatest size a header can hold", 0xffffffff, 0xffffffff],
  ])("a small file that would unpack to a huge image: %s", async (_name, width, height) => {
    const bytes = await makePng({ width: 2, height: 2 }, 5, { width, height });
    const sha256 = await sha256Of(bytes);
    expect((await expectError(await put(sha256, bytes), 413)).message).toContain(`${width} x ${height}`);
    await expectNothing(sha256);
  });

  test("a body above the limit, with its length told or not", async () => {
    const bytes = new Uint8Array(LIMITS.imageBytes + 1);
    bytes.set(await makePng({ width: 2, height: 2 }, 6));
    const sha256 = await sha256Of(bytes);
    await expectError(await put(sha256, bytes), 413);
    await expectError(await put(sha256, new Blob([bytes]).stream()), 413);
    await expectNothing(sha256);
  });

  test("a body without end: reading stops at the limit", async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    await expectError(await put("1".repeat(64), endless), 413);
    expect(sent).toBeLessThan(LIMITS.imageBytes + 4_000_000);
    await expectNothing("1".repeat(64));
  });
});

test("a body of exactly the limit is taken", async () => {
  const bytes = new Uint8Array(LIMITS.imageBytes);
  bytes.set(await makePng({ width: 2, height: 2 }, 7));
  const sha256 = await sha256Of(bytes);
  await expectJson(await put(sha256, bytes), 201);
});

describe("POST /v1/images/missing", () => {
  const ask = (sha256: unknown) => call("POST", "/v1/images/missing", { key: client, json: { sha256 } });

  test("names what is not stored, once each, in the order asked", async () => {
    const bytes = await makePng({ width: 4, height: 4 }, 8);
    const known = await sha256Of(bytes);
    await expectJson(await put(known, bytes), 201);
    const [a, b] = ["f".repeat(64), "0".repeat(64)];
    expect(await expectJson(await ask([a, known, b, a]))).toEqual({ missing: [a, b] });
    expect(await expectJson(await ask([]))).toEqual({ missing: [] });
  });

  test("takes a thousand at once, not more", async () => {
    const hashes = Array.from({ length: 1_001 }, (_, i) => i.toString(16).padStart(64, "0"));
    expect(await expectJson(await ask(hashes.slice(1)))).toEqual({ missing: hashes.slice(1) });
    expect((await expectError(await ask(hashes), 400)).details?.[0]?.path).toBe("sha256");
  });

  test("refuses what is no hash, by its place", async () => {
    const error = await expectError(await ask(["0".repeat(64), "'; DROP TABLE images; --"]), 400);
    expect(error.details?.[0]?.path).toBe("sha256.1");
  });
});
