import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { emptyLoop, rows, setPolicy } from "./fixtures.ts";
import { claimRound, everything, promote, storeReady } from "./rounds-support.ts";
import { call, createKey, expectError, expectJson, sha256Of } from "./support.ts";

let trainer: string;
let client: string;
let operator: string;

beforeEach(async () => {
  await emptyLoop();
  await setPolicy({ training: { minPairs: 2, maxPairs: 2, regionCapShare: 1 }, batch: { startPairs: 2 } });
  trainer = (await createKey(["train"])).key;
  client = (await createKey(["ingest"])).key;
  operator = (await createKey(["operate"])).key;
});

interface Champion {
  adapter: string | null;
  previous: string | null;
  roundId: string | null;
  updatedAt: number;
}

async function champion(): Promise<Champion> {
  return expectJson(await call("GET", "/v1/adapters/champion", { key: client }));
}

async function rollBack(): Promise<Response> {
  return call("POST", "/v1/adapters/rollback", { key: operator });
}

/** Promotes `count` adapters, each trained from the one before. */
async function promoteInTurn(count: number): Promise<string[]> {
  await storeReady("s", 2 * count);
  const adapters: string[] = [];
  for (let i = 0; i < count; i++) {
    const { adapter, response } = await promote(trainer, await claimRound(trainer, "t"), `adapter-${i}`);
    expect(await expectJson(response)).toEqual({ verdict: "promoted", champion: adapter });
    adapters.push(adapter);
  }
  return adapters;
}

describe("upload", () => {
  let bytes: Uint8Array;
  beforeEach(() => {
    bytes = crypto.getRandomValues(new Uint8Array(60_000));
  });
  /** The bytes as a stream whose length nobody knows. */
  const stream = () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    void writer.write(bytes).then(
      () => writer.close(),
      () => undefined,
    );
    return readable;
  };

  test("stores the bytes under their hash, once, and gives them back to trainers and clients", async () => {
    const sha256 = await sha256Of(bytes);
    const put = () => call("PUT", `/v1/adapters/${sha256}`, { key: trainer, body: bytes });
    expect(await expectJson(await put(), 201)).toEqual({ sha256, bytes: bytes.length, created: true });
    expect(await expectJson(await put())).toEqual({ sha256, bytes: bytes.length, created: false });
    for (const key of [trainer, client]) {
      const response = await call("GET", `/v1/adapters/${sha256}`, { key });
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
      expect(response.headers.get("content-length")).toBe(String(bytes.length));
    }
    expect(await rows("SELECT sha256, bytes, state FROM adapters")).toEqual([
      { sha256, bytes: bytes.length, state: "uploaded" },
    ]);
  });

  test("other bytes than the hash says are refused with 422 and nothing is stored", async () => {
    const sha256 = "0".repeat(64);
    const response = await call("PUT", `/v1/adapters/${sha256}`, { key: trainer, body: bytes });
    expect((await expectError(response, 422)).message).toContain("SHA-256");
    expect(await rows("SELECT * FROM adapters")).toEqual([]);
    expect(await env.BLOBS.head(`adapters/${sha256}`)).toBeNull();
    await expectError(await call("GET", `/v1/adapters/${sha256}`, { key: trainer }), 404);
  });

  test("a body longer or shorter than announced is refused and nothing is stored", async () => {
    const sha256 = await sha256Of(bytes);
    for (const length of [bytes.length - 1, bytes.length + 1]) {
      const headers = { "content-length": String(length) };
      const body = stream();
      const response = await call("PUT", `/v1/adapters/${sha256}`, { key: trainer, body, headers });
      await expectError(response, 400);
    }
    expect(await rows("SELECT * FROM adapters")).toEqual([]);
    expect(await env.BLOBS.head(`adapters/${sha256}`)).toBeNull();
  });

  test("too large a body, an empty one, one without a length, or a name that is no hash is refused", async () => {
    const sha256 = await sha256Of(bytes);
    const put = (path: string, length?: string, body: BodyInit = stream()) =>
      call("PUT", path, { key: trainer, body, headers: length === undefined ? {} : { "content-length": length } });
    await expectError(await put(`/v1/adapters/${sha256}`, String(LIMITS.adapterBytes + 1)), 413);
    await expectError(await put(`/v1/adapters/${sha256}`, undefined), 400);
    await expectError(await put(`/v1/adapters/${sha256}`, "many"), 400);
    await expectError(await put(`/v1/adapters/${sha256}`, "0", ""), 400);
    const error = await expectError(await put("/v1/adapters/..%2Fimages", String(bytes.length)), 400);
    expect(error.details?.map(({ path }) => path)).toEqual(["sha256"]);
    expect(await rows("SELECT * FROM adapters")).toEqual([]);
  });
});

describe("champion", () => {
  test("is the base model until an adapter is promoted", async () => {
    expect(await champion()).toEqual({ adapter: null, previous: null, roundId: null, updatedAt: 0 });
    const [first = ""] = await promoteInTurn(1);
    const [round] = await rows<{ id: string }>("SELECT id FROM rounds");
    expect(await champion()).toMatchObject({ adapter: first, previous: null, roundId: round?.id });
  });

  test("is the reference of the next round, and keeps the one before as previous", async () => {
    const [first, second] = await promoteInTurn(2);
    expect(await champion()).toMatchObject({ adapter: second, previous: first });
    await storeReady("more", 2);
    expect((await claimRound(trainer, "t")).reference).toBe(second);
    expect(await rows("SELECT sha256, state FROM adapters ORDER BY created_at, state DESC")).toEqual(
      expect.arrayContaining([
        { sha256: first, state: "previous" },
        { sha256: second, state: "champion" },
      ]),
    );
  });
});

describe("rollback", () => {
  test("goes back step by step to the base model, never forth, and is in the audit log", async () => {
    const [first, second, third] = await promoteInTurn(3);
    expect(await expectJson(await rollBack())).toMatchObject({ adapter: second, previous: first });
    expect(await expectJson(await rollBack())).toMatchObject({ adapter: first, previous: null });
    expect(await expectJson(await rollBack())).toMatchObject({ adapter: null, previous: null, roundId: null });
    const before = await everything();
    expect((await expectError(await rollBack(), 409)).code).toBe("conflict");
    expect(await everything()).toEqual(before);
    const audited = await rows(
      "SELECT subject, details FROM audit_log WHERE action = 'adapter.rolled-back' ORDER BY id",
    );
    expect(audited).toEqual([
      { subject: third, details: JSON.stringify({ champion: second }) },
      { subject: second, details: JSON.stringify({ champion: first }) },
      { subject: first, details: JSON.stringify({ champion: null }) },
    ]);
    expect(await rows("SELECT DISTINCT state FROM adapters")).toEqual([{ state: "rejected" }]);
  });

  test("there is nothing to go back to before the first promotion", async () => {
    await expectError(await rollBack(), 409);
  });

  test("six at once on two champions: two move, the others are refused", async () => {
    await promoteInTurn(2);
    const responses = await Promise.all(Array.from({ length: 6 }, rollBack));
    const moved = responses.filter(({ status }) => status === 200).length;
    expect(moved).toBeGreaterThanOrEqual(1);
    expect(moved).toBeLessThanOrEqual(2);
    expect(responses.every(({ status }) => status === 200 || status === 409)).toBe(true);
    const audited = await rows("SELECT id FROM audit_log WHERE action = 'adapter.rolled-back'");
    expect(audited).toHaveLength(moved);
  });

  test("a round that trained on the adapter that was rolled back is turned down", async () => {
    const [first] = await promoteInTurn(2);
    await storeReady("more", 2);
    const round = await claimRound(trainer, "t");
    await expectJson(await rollBack());
    const { response } = await promote(trainer, round, "late");
    expect(await expectJson(response)).toEqual({ verdict: "rejected", champion: first });
    expect(await champion()).toMatchObject({ adapter: first });
  });
});
