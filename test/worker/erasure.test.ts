import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import type { ErasureRow } from "../../shared/contracts/retention.ts";
import { DAY_MS } from "../../shared/time.ts";
import { REMOVAL_LOST_MS, RETENTION_LIMITS } from "../../workers/retention/limits.ts";
import { requestErasure } from "../../workers/retention/requests.ts";
import { retentionStep } from "../../workers/retention/step.ts";
import { imageOf, rows, setPolicy, storeJobs, storePairs, storeSource } from "./fixtures.ts";
import {
  archiveBlobs,
  archivedLines,
  audits,
  blobs,
  cutOff,
  emptyAll,
  expectNoRowWithoutBlob,
  expectUpload,
  idsOf,
  imagesStored,
  keeping,
  later,
  notedImages,
  postShowing,
  settle,
  survives,
  TINY,
  uploadImages,
} from "./retention-support.ts";
import { claimRound, gateOf, onRound, scored } from "./rounds-support.ts";
import { ADMIN_KEY, call, countRows, createKey, expectError, expectJson, type TestKey } from "./support.ts";

const admin = { kind: "bootstrap", scopes: ["admin"] } as const;
/** Small transactions, but all of them in one call. */
const MANY_ROUNDS = { ...TINY, eraseRounds: 100 };
const archiving = keeping({ archiveAfterDays: 91 });
let client: TestKey;
let other: TestKey;

beforeEach(async () => {
  await emptyAll();
  client = await createKey(["ingest"]);
  other = await createKey(["ingest"]);
});

const ask = (json: unknown, key = ADMIN_KEY) => call("POST", "/v1/erasures", { key, json });
const erase = async (json: unknown) => expectJson<ErasureRow>(await ask(json), 202);

/** Everything that tells of a client, counted. */
async function tracesOf({ clientId }: TestKey): Promise<number> {
  const found = await rows<{ n: number }>(
    `SELECT (SELECT count(*) FROM failures WHERE client_id = ?1) + (SELECT count(*) FROM archives WHERE client_id = ?1)
       + (SELECT count(*) FROM sources WHERE client_id = ?1) + (SELECT count(*) FROM region_reports WHERE client_id = ?1) AS n`,
    clientId,
  );
  return (found[0]?.n ?? 0) + (await blobs(`archive/failures/${clientId}/`)).length;
}

/** Two pairs and a waiting job for each of these sources; one pair was measured and one was refused before. */
async function makeOf(sources: readonly string[]): Promise<void> {
  await storePairs(sources.flatMap((source) => [3, 4].map((level) => ({ source, level }))));
  await storeJobs(sources.map((source) => ({ source, level: 2 })));
  await env.DB.prepare(
    `INSERT INTO rounds (id, trainer, state, created_at, policy_version, pairs, batch_sha256)
     SELECT 'before', 't', 'released', 0, max(version), 0, '' FROM policies WHERE true ON CONFLICT DO NOTHING`,
  ).run();
  for (const source of sources) {
    await env.DB.batch([
      env.DB.prepare("INSERT INTO pair_scores VALUES (?1, 'before', 0, 0, 0, 0, 1, 1)").bind(`${source}-count-near-3`),
      env.DB.prepare("INSERT INTO pair_refusals VALUES (?1, 'before', 'why')").bind(`${source}-count-near-4`),
      env.DB.prepare("INSERT INTO sentinel_scores (round_id, pair_id, swapped) VALUES ('before', ?1, 0)").bind(
        `${source}-count-near-4`,
      ),
      env.DB.prepare(
        "INSERT INTO rechecks (id, pair_id, state, why, created_at) VALUES (?1, ?1, 'queued', 'why', 0)",
      ).bind(`${source}-count-near-3`),
    ]);
  }
}

const MADE = [
  "failures",
  "sources",
  "edit_jobs",
  "pairs",
  "pair_scores",
  "pair_refusals",
  "sentinel_scores",
  "rechecks",
  "image_refs",
];
const madeCounts = () => Promise.all(MADE.map(countRows));

describe("a client's erasure", () => {
  test("deletes its events and all that was made of them, and nothing of anybody else", async () => {
    await postShowing(client, "mine", [[imageOf(1)], [imageOf(1)], []]);
    await postShowing(other, "theirs", [[imageOf(1)]]);
    const [mine, theirs] = [await idsOf(client), await idsOf(other)];
    await makeOf([...mine, ...theirs]);
    const regions = "SELECT key, failures, total_failures, total_exposures, new_failures FROM regions ORDER BY key";
    const before = await rows(regions);

    const erasure = await erase({ client: client.clientId });
    expect(erasure).toMatchObject({
      kind: "client",
      subject: client.clientId,
      state: "done",
      requestedBy: "bootstrap",
    });
    expect(erasure.removed).toEqual({ events: 3, archivedEvents: 0, sources: 3, jobs: 9, pairs: 6, images: 0 });
    expect(await tracesOf(client)).toBe(0);
    expect(await idsOf(other)).toEqual(theirs);
    await settle(later(1), keeping());
    expect(await madeCounts()).toEqual([1, 1, 3, 2, 1, 1, 1, 1, 1]);
    expect(await rows(regions)).toEqual(before);
    expect(await rows("SELECT sum(backlog) AS waiting FROM regions")).toEqual([{ waiting: 2 }]);

    const [requested] = await audits("erasure.request");
    const [done] = await audits("erasure.done");
    expect(requested).toMatchObject({ subject: erasure.id, details: { client: client.clientId }, actor: "bootstrap" });
    expect(done).toMatchObject({ subject: erasure.id, details: { client: client.clientId, ...erasure.removed } });
    await postShowing(client, "new", [[]]);
    expect(await idsOf(client)).toHaveLength(1);
  });

  test("keeps an image that somebody else shows; the last one's takes it along", async () => {
    const [shared = "", own = ""] = await uploadImages(client.key, 1, 2);
    await postShowing(client, "mine", [[shared, own]]);
    await postShowing(other, "theirs", [[shared]]);
    expect((await erase({ client: client.clientId })).removed.images).toBe(1);
    expect([await imagesStored(), await blobs("images/")]).toEqual([[shared], [`images/${shared}`]]);
    expect((await erase({ client: other.clientId })).removed.images).toBe(1);
    expect([await imagesStored(), await blobs("images/")]).toEqual([[], []]);
  });

  test("finds what left the database: archived events, and sources whose events are deleted already", async () => {
    const [image = "", imported = ""] = await uploadImages(client.key, 1, 2);
    await postShowing(client, "gone", [[image], [image]]);
    await settle(later(92), archiving);
    await settle(later(200), keeping({ deleteAfterDays: 150 }));
    await postShowing(client, "old", [[image], [image], [image], [imported]]);
    await postShowing(other, "theirs", [[]]);
    await storeSource({ id: "import", images: [imported] });
    await settle(later(92), archiving, TINY);
    await postShowing(client, "young", [[image]]);
    const ids = await rows<{ id: string }>("SELECT id FROM sources WHERE client_id = ?1", client.clientId);
    await makeOf(ids.map(({ id }) => id));

    const { removed, state } = await erase({ client: client.clientId });
    expect(state).toBe("done");
    expect(removed).toEqual({ events: 1, archivedEvents: 4, sources: 7, jobs: 18, pairs: 12, images: 1 });
    expect(await tracesOf(client)).toBe(0);
    expect(await imagesStored()).toEqual([imported]);
    expect(await archivedLines()).toHaveLength(1);
    expect(await countRows("sources")).toBe(2);
  });

  test("cut off anywhere, goes on where it was, and counts everything once", async () => {
    let cuts = 0;
    for (let at = 1; ; at += 3) {
      await emptyAll();
      const [image = "", shared = ""] = await uploadImages(client.key, 1, 2);
      await postShowing(client, "old", [[image], [shared], []]);
      await settle(later(92), archiving);
      await postShowing(client, "young", [[image], [], []]);
      await postShowing(other, "theirs", [[shared]]);
      const lost = cutOff(at, at % 2 === 1 ? "before" : "after");
      await survives(requestErasure(lost, admin, { client: client.clientId }, Date.now(), MANY_ROUNDS));
      await expectNoRowWithoutBlob();
      if (!lost.state.reached) break;
      cuts += 1;
      const { id } = await requestErasure(env, admin, { client: client.clientId }, Date.now(), TINY);
      await settle(Date.now() + REMOVAL_LOST_MS + 60_000, keeping());
      const done = await expectJson<ErasureRow>(await call("GET", `/v1/erasures/${id}`, { key: ADMIN_KEY }));
      expect(done.state).toBe("done");
      // Cut off after its very end, the first is done, and the second found nothing any more.
      const all = await rows<{ removed: string }>("SELECT removed FROM erasures");
      const sum = (kind: string) => all.reduce((total, { removed }) => total + (JSON.parse(removed)[kind] ?? 0), 0);
      expect(["events", "archivedEvents", "sources", "images"].map(sum)).toEqual([3, 3, 6, 1]);
      expect([await tracesOf(client), await imagesStored(), await blobs("images/")]).toEqual([
        0,
        [shared],
        [`images/${shared}`],
      ]);
    }
    expect(cuts).toBeGreaterThan(5);
  });

  test("is not done while events that came before it wait to be stored", async () => {
    await postShowing(client, "a", [[]]);
    const waiting = `intake/${String(Date.now() - 1).padStart(16, "0")}-x.json`;
    await env.BLOBS.put(waiting, "{}");
    expect(await erase({ client: client.clientId })).toMatchObject({ state: "running", removed: { events: 1 } });
    await postShowing(client, "b", [[]]);
    await env.BLOBS.delete(waiting);
    expect((await retentionStep(env, Date.now(), keeping())).erased).toBe(1);
    expect(await tracesOf(client)).toBe(0);
  });
});

describe("an image's erasure", () => {
  test("deletes every event, archived line, source, job and pair that shows it, then the image", async () => {
    const [image = "", rest = ""] = await uploadImages(client.key, 1, 2);
    await postShowing(client, "old", [[image], [rest], [image, rest], [rest]]);
    await postShowing(other, "old", [[rest]]);
    await settle(later(92), archiving);
    const archived = await archivedLines();
    const untouched = await archiveBlobs();
    const frames = [rest, image].map((sha256, timeMs) => ({ sha256, timeMs }));
    const video = [
      {
        role: "user",
        content: [
          { type: "video", frames },
          { type: "text", text: "What moves?" },
        ],
      },
    ];
    await postShowing(client, "young", [[image], [rest]]);
    await postShowing(other, "video", [[]], { conversation: video });
    await storeSource({ id: "import", images: [image] });
    await makeOf(["import"]);

    const { removed, state } = await erase({ image });
    expect(state).toBe("done");
    expect(removed).toEqual({ events: 2, archivedEvents: 2, sources: 5, jobs: 3, pairs: 2, images: 1 });
    expect((await archivedLines()).sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
      archived.filter(({ images }) => !images.includes(image)).sort((a, b) => (a.id < b.id ? -1 : 1)),
    );
    expect((await archiveBlobs()).filter((blob) => untouched.includes(blob))).toHaveLength(1);
    expect((await rows<{ events: number }>("SELECT events FROM archives")).map(({ events }) => events).sort()).toEqual([
      1, 2,
    ]);
    expect([await imagesStored(), await blobs("images/")]).toEqual([[rest], [`images/${rest}`]]);
    expect(await rows("SELECT id FROM sources WHERE instr(images, ?1) > 0", image)).toEqual([]);
    expect(await rows("SELECT id FROM failures WHERE instr(conversation, ?1) > 0", image)).toEqual([]);
    expect((await notedImages()).filter((note) => note.startsWith(image))).toEqual([]);
    await expectUpload(client.key, 1);
    await expectNoRowWithoutBlob();
  });

  test("cut off anywhere, loses no other line", async () => {
    let cuts = 0;
    for (let at = 1; ; at += 5) {
      await emptyAll();
      const [image = ""] = await uploadImages(client.key, 1);
      await postShowing(client, "old", [[image], [], [image], [], [image]]);
      await settle(later(92), archiving, { ...RETENTION_LIMITS, archiveEvents: 2 });
      const kept = (await archivedLines()).filter(({ images }) => images === "[]").map(({ id }) => id);
      const lost = cutOff(at, at % 2 === 1 ? "before" : "after");
      await survives(requestErasure(lost, admin, { image }, Date.now()));
      await expectNoRowWithoutBlob();
      if (!lost.state.reached) break;
      cuts += 1;
      await requestErasure(env, admin, { image }, Date.now(), TINY).catch(() => null);
      await settle(Date.now() + 2 * DAY_MS, keeping());
      expect((await archivedLines()).map(({ id }) => id).sort()).toEqual(kept.sort());
      expect([await countRows("image_refs"), await blobs("images/")]).toEqual([0, []]);
      expect(await rows("SELECT 1 FROM erasures WHERE state = 'running'")).toEqual([]);
      expect(await archiveBlobs()).toHaveLength(await countRows("archives"));
    }
    expect(cuts).toBeGreaterThan(3);
  });
});

test("a round goes on without the pairs that were erased, and waits for no more of them", async () => {
  await setPolicy({ training: { minPairs: 2, maxPairs: 100, regionCapShare: 1 } });
  const { key } = await createKey(["train"]);
  await postShowing(client, "mine", [[], []]);
  await postShowing(other, "theirs", [[], []]);
  await env.DB.prepare("UPDATE sources SET split = 'train'").run();
  const [mine, theirs] = [await idsOf(client), await idsOf(other)];
  const pairOf = (source: string) => `${source}-count-near-3`;
  await storePairs([...mine, ...theirs].map((source) => ({ source })));
  const round = await claimRound(key, "t");
  expect(round.batch.pairs).toBe(4);
  const report = async (...pairs: string[]) =>
    expectJson(await onRound(key, round, "POST", "reports", { reports: pairs.map((id) => scored(id)) }));
  expect(await report(...mine.slice(0, 1).map(pairOf))).toMatchObject({ stored: 1 });

  expect(await erase({ client: client.clientId })).toMatchObject({ state: "done", removed: { pairs: 2 } });
  expect(await rows("SELECT sum(backlog) AS waiting FROM regions")).toEqual([{ waiting: 2 }]);
  expect(await report(...[...mine, ...theirs].map(pairOf))).toEqual({
    stored: 2,
    duplicate: 0,
    unknown: [],
    erased: 2,
  });
  expect(await report(...[...mine, ...theirs].map(pairOf))).toEqual({
    stored: 0,
    duplicate: 2,
    unknown: [],
    erased: 2,
  });
  const completion = { adapter: null, manifest: null, gate: gateOf("rejected"), metrics: {} };
  await expectJson(await onRound(key, round, "POST", "complete", completion));
  expect(await rows("SELECT id, state FROM pairs ORDER BY id")).toEqual(
    theirs.map((source) => ({ id: pairOf(source), state: "ready" })),
  );
  expect(await rows("SELECT sum(backlog) AS waiting, sum(scored) AS scored FROM regions")).toEqual([
    { waiting: 2, scored: 2 },
  ]);
});

describe("the request", () => {
  test("is refused for whom and what is not known, and to whom is no admin", async () => {
    const operator = await createKey(["operate", "ingest", "train"]);
    for (const path of ["", "/x"])
      await expectError(await call("GET", `/v1/erasures${path}`, { key: operator.key }), 403);
    await expectError(await ask({ client: client.clientId }, operator.key), 403);
    await expect(
      requestErasure(env, { kind: "system", scopes: ["operate"] }, { client: "x" }, 0),
    ).rejects.toMatchObject({
      code: "forbidden",
    });
    await expectError(await ask({ client: "nobody" }), 404);
    await expectError(await ask({ image: imageOf(77) }), 404);
    await expectError(await call("GET", "/v1/erasures/x", { key: ADMIN_KEY }), 404);
    for (const bad of [{}, { image: "x" }, { client: client.clientId, image: imageOf(1) }, { client: "" }]) {
      await expectError(await ask(bad), 400);
    }
    expect(await countRows("erasures")).toBe(0);
  });

  test("asked again while it runs, is the same erasure; they are listed for ever, the newest first", async () => {
    await postShowing(client, "a", Array(9).fill([]));
    const limits = { ...TINY, eraseRounds: 1 };
    const now = Date.now();
    const first = await requestErasure(env, admin, { client: client.clientId }, now, limits);
    const again = await requestErasure(env, admin, { client: client.clientId }, now + 1, limits);
    expect([first.state, again.id]).toEqual(["running", first.id]);
    expect(again.removed.events).toBe(4);
    const second = await requestErasure(env, admin, { client: other.clientId }, now + 2, limits);
    expect(second.state).toBe("running");
    await settle(later(1), keeping(), TINY);
    const { erasures } = await expectJson<{ erasures: ErasureRow[] }>(
      await call("GET", "/v1/erasures", { key: ADMIN_KEY }),
    );
    expect(erasures.map(({ id, state, removed }) => [id, state, removed.events])).toEqual([
      [second.id, "done", undefined],
      [first.id, "done", 9],
    ]);
    expect(await audits("erasure.request")).toHaveLength(2);
    expect(await audits("erasure.done")).toHaveLength(2);
  });

  test("for an image that was never uploaded erases the events that show it", async () => {
    await postShowing(client, "a", [[imageOf(5)], []]);
    expect(await erase({ image: imageOf(5) })).toMatchObject({ state: "done", removed: { events: 1, sources: 1 } });
    expect(await countRows("failures")).toBe(1);
  });

  test("while one runs, nothing moves to the archive", async () => {
    await postShowing(client, "a", [[], [], []]);
    await postShowing(other, "b", [[]]);
    await requestErasure(env, admin, { client: client.clientId }, Date.now(), { ...TINY, eraseRounds: 0 });
    const step = await retentionStep(env, later(92), archiving, { ...TINY, eraseRounds: 1 });
    expect([step.archived, await archiveBlobs(), await countRows("archives")]).toEqual([0, [], 0]);
    await settle(later(92), archiving, TINY);
    expect([await tracesOf(client), (await archivedLines()).length]).toEqual([0, 1]);
  });
});
