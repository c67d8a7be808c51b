import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { listMissing, putImage } from "../../workers/ingest/images.ts";
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

function rowOf(sha256: string) {
  return env.DB.prepare("SELECT * FROM images WHERE sha256 = ?1").bind(sha256).first();
}

async function isStored(sha256: string): Promise<{ row: boolean; blob: boolean }> {
  return { row: (await rowOf(sha256)) !== null, blob: (await env.BLOBS.head(`images/${sha256}`)) !== null };
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

  test("is stored anew when its bytes got lost, and its row stays as it is", async () => {
    const bytes = await makePng({ width: 3, height: 3 }, 78);
    const sha256 = await sha256Of(bytes);
    const first = await expectJson(await put(sha256, bytes), 201);
    const rowBefore = await rowOf(sha256);
    await env.BLOBS.delete(`images/${sha256}`);
    expect(await expectJson(await put(sha256, bytes))).toEqual({ ...(first as object), created: false });
    const blob = await env.BLOBS.get(`images/${sha256}`);
    expect(new Uint8Array((await blob?.arrayBuffer()) ?? [])).toEqual(bytes);
    expect({ ...(await rowOf(sha256)), wanted_at: 0 }).toEqual({ ...rowBefore, wanted_at: 0 });
  });

  test("gets a row when only its bytes had arrived", async () => {
    const bytes = await makePng({ width: 3, height: 3 }, 79);
    const sha256 = await sha256Of(bytes);
    await env.BLOBS.put(`images/${sha256}`, bytes);
    await expectJson(await put(sha256, bytes), 201);
    expect(await isStored(sha256)).toEqual({ row: true, blob: true });
  });

  test("has no row when its bytes cannot be stored", async () => {
    const bytes = await makePng({ width: 3, height: 3 }, 80);
    const sha256 = await sha256Of(bytes);
    const BLOBS = new Proxy(env.BLOBS, {
      get: (target, name) =>
        name === "put" ? () => Promise.reject(new Error("no room")) : Reflect.get(target, name, target).bind(target),
    });
    const actor = { kind: "system", scopes: ["ingest"] } as const;
    await expect(putImage({ DB: env.DB, BLOBS }, actor, sha256, bytes, 1)).rejects.toThrow("no room");
    expect(await isStored(sha256)).toEqual({ row: false, blob: false });
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

  test.each([
    ["its header", 20],
    ["its last byte", -1],
  ])("an image that breaks off before the end of %s", async (_name, end) => {
    const bytes = (await makePng({ width: 2, height: 2 }, 4)).slice(0, end);
    const sha256 = await sha256Of(bytes);
    const { code, message } = await expectError(await put(sha256, bytes), 422);
    expect(code).toBe("unprocessable");
    expect(message).toBe("The body begins like image/png, but it is cut off, or a length in it is wrong.");
    await expectNothing(sha256);
  });

  test("an image of another kind behind the same beginning", async () => {
    const bytes = Uint8Array.of(0xff, 0xd8, 0xff, 0xc3, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0, 0xff, 0xd9);
    const sha256 = await sha256Of(bytes);
    expect((await expectError(await put(sha256, bytes), 415)).code).toBe("unsupported_type");
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

  test("a small file that unpacks to far more than its header tells", async () => {
    const bytes = await makePng({ width: 5_000, height: 5_000 }, 5, { width: 2, height: 2 });
    const sha256 = await sha256Of(bytes);
    const { code, message } = await expectError(await put(sha256, bytes), 413);
    expect(code).toBe("too_large");
    expect(message).toContain("unpacks to more than the 6 bytes of its pixels");
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

test("a body of exactly the limit is taken, one byte more is not", async () => {
  for (const [length, status] of [
    [LIMITS.imageBytes, 201],
    [LIMITS.imageBytes + 1, 413],
  ] as const) {
    const bytes = gifOf(length);
    await expectJson(await put(await sha256Of(bytes), bytes), status);
  }
});

/** A GIF of one pixel and a comment that makes it this long: parts of up to 255 bytes, each behind its length. */
function gifOf(length: number): Uint8Array<ArrayBuffer> {
  const start = [...new TextEncoder().encode("GIF89a"), 1, 0, 1, 0, 0, 0, 0, 0x21, 0xfe];
  const end = [0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 0x01, 0, 0x3b];
  const bytes = new Uint8Array(length);
  bytes.set(start);
  for (let at = start.length; at < length - end.length; at += 256) {
    bytes[at] = Math.min(255, length - end.length - at - 1);
  }
  bytes.set(end, length - end.length);
  return bytes;
}

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

  test("notes that those which are here are wanted, at most once an hour", async () => {
    const bytes = await makePng({ width: 4, height: 4 }, 9);
    const [known, other] = [await sha256Of(bytes), "e".repeat(64)];
    await expectJson(await put(known, bytes), 201);
    const actor = { kind: "system", scopes: ["ingest"] } as const;
    const wantedAfter = async (nowMs: number) => {
      expect(await listMissing(env, actor, [known, other], nowMs)).toEqual([other]);
      return (await rowOf(known))?.wanted_at;
    };
    const start = 4_000_000_000_000;
    expect(await wantedAfter(start)).toBe(start);
    expect(await wantedAfter(start + 3_600_000)).toBe(start);
    expect(await wantedAfter(start + 3_600_001)).toBe(start + 3_600_001);
    expect(await wantedAfter(start)).toBe(start + 3_600_001);
    expect(await rowOf(other)).toBeNull();
  });

  test("an upload of an image that is here notes it too", async () => {
    const bytes = await makePng({ width: 4, height: 4 }, 10);
    const sha256 = await sha256Of(bytes);
    await expectJson(await put(sha256, bytes), 201);
    const before = Date.now();
    await expectJson(await put(sha256, bytes), 200);
    expect((await rowOf(sha256))?.wanted_at).toBeGreaterThanOrEqual(before);
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
