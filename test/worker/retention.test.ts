import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { putImage } from "../../workers/ingest/images.ts";
import { REMOVAL_LOST_MS } from "../../workers/retention/limits.ts";
import { indexImages } from "../../workers/retention/refs.ts";
import { requestErasure } from "../../workers/retention/requests.ts";
import { retentionStep } from "../../workers/retention/step.ts";
import { onCron } from "../../workers/scheduler/cron.ts";
import { imageOf, interrupted, RecordingQueue, rows, setPolicy, storePair, storeSource } from "./fixtures.ts";
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
import { call, countRows, createKey, makePng, sha256Of, type TestKey } from "./support.ts";

let client: TestKey;
const FOREVER = Number.MAX_SAFE_INTEGER;

beforeEach(async () => {
  await emptyAll();
  client = await createKey(["ingest"]);
});

describe("which events show an image", () => {
  test("is noted for every event, frames of videos too, once the events are old enough to be all there", async () => {
    const [a, b, c, d] = [imageOf(1), imageOf(2), imageOf(3), imageOf(4)];
    await postShowing(client, "e", [[a], [a, b], [], [c], [a, a], [b]]);
    const frames = [a, d].map((sha256, index) => ({ sha256, timeMs: index }));
    const video = [
      {
        role: "user",
        content: [
          { type: "video", frames },
          { type: "text", text: "What moves?" },
        ],
      },
    ];
    await postShowing(client, "video", [[]], { conversation: video });

    expect(await indexImages(env, Date.now(), FOREVER, TINY)).toEqual({ events: 0, caughtUp: true });
    for (let step = 0; step < 4; step++) await indexImages(env, Date.now() + 61_000, FOREVER, TINY);
    const shown = await rows<{ id: string; images: string }>("SELECT id, images FROM failures");
    const expected = shown.flatMap(({ id, images }) =>
      [...new Set(JSON.parse(images))].map((image) => `${image} ${id}`),
    );
    expect(await notedImages()).toEqual(expected.sort());
    expect(expected).toHaveLength(8);
  });

  test("a source that comes without an event notes its images itself", async () => {
    await storeSource({ id: "import", images: [imageOf(1), imageOf(2)] });
    expect(await notedImages()).toEqual([`${imageOf(1)} import`, `${imageOf(2)} import`].sort());
  });
});

describe("the archive", () => {
  test("takes old events with every column, per client, and leaves what was made of them", async () => {
    const other = await createKey(["ingest"]);
    await postShowing(client, "a", [[imageOf(1)], [imageOf(2)], [], [imageOf(1)], []]);
    await postShowing(other, "b", [[imageOf(1)]]);
    await postShowing(client, "unjudged", [[imageOf(3)]], { reference: undefined, errorType: undefined });
    const before = await rows<Record<string, unknown>>("SELECT * FROM failures ORDER BY id");
    const sources = await rows<Record<string, unknown>>("SELECT * FROM sources ORDER BY id");
    const [sourceId = ""] = await idsOf(client);
    const pair = await storePair({ source: sourceId });

    await settle(later(90), keeping({ archiveAfterDays: 91 }), TINY);
    expect(await countRows("failures")).toBe(7);
    await settle(later(92), keeping({ archiveAfterDays: 91 }), TINY);

    expect(await countRows("failures")).toBe(0);
    expect((await archivedLines()).sort((x, y) => (x.id < y.id ? -1 : 1))).toEqual(before);
    expect(await archivedLines(other.clientId)).toHaveLength(1);
    const archives = await rows<{ blob: string; events: number; client_id: string }>("SELECT * FROM archives");
    for (const { blob, events, client_id } of archives) {
      expect(events).toBeLessThanOrEqual(TINY.archiveEvents);
      expect(blob).toMatch(new RegExp(`^archive/failures/${client_id}/\\d{13}-[0-9a-f-]{36}\\.ndjson\\.gz$`));
    }
    const counted = (await audits("retention.archive")).map(({ details }) => details.events as number);
    expect(counted.reduce((sum, events) => sum + events, 0)).toBe(7);

    const clientOf = new Map(before.map((row) => [row.id, row.client_id]));
    const after = sources.map((row) => ({ ...row, failure_id: null, client_id: clientOf.get(row.id) }));
    expect(await rows("SELECT * FROM sources ORDER BY id")).toEqual(after);
    expect(after).toHaveLength(6);
    expect(await rows("SELECT id, source_id, state FROM pairs")).toEqual([
      { id: pair, source_id: sourceId, state: "ready" },
    ]);
  });

  test("takes events whose ids tell no time by their arrival, wherever they stand", async () => {
    await postShowing(client, "a", Array(9).fill([]), { reference: undefined });
    await env.DB.prepare(
      "UPDATE failures SET id = lower(hex(randomblob(16))), received_at = 1000 WHERE rowid % 3 <> 0",
    ).run();
    const old = await rows<{ id: string }>("SELECT id FROM failures WHERE received_at = 1000");
    await settle(Date.now() + 61_000, keeping({ archiveAfterDays: 91 }), TINY);
    expect((await archivedLines()).map(({ id }) => id).sort()).toEqual(old.map(({ id }) => id).sort());
    expect(await countRows("failures")).toBe(9 - old.length);
    expect(old).toHaveLength(6);
  });

  test("objects end at their limit of bytes", async () => {
    await postShowing(client, "a", Array(4).fill([]), { response: "x".repeat(10_000) });
    await settle(later(92), keeping({ archiveAfterDays: 91 }), { ...TINY, archiveEvents: 100, archiveBytes: 22_000 });
    expect((await rows<{ events: number }>("SELECT events FROM archives")).map(({ events }) => events)).toEqual([2, 2]);
  });

  test("an event that is answered or erased while it is written is not lost and not stale", async () => {
    await postShowing(client, "a", [[], []], { reference: undefined });
    const [first = "", second = ""] = await idsOf(client);
    const answer = () =>
      env.DB.prepare("UPDATE failures SET reference = 'Two.', verdict = 'wrong' WHERE id = ?1").bind(first).run();
    const DB = interrupted("INSERT INTO archives", answer);
    const policy = keeping({ archiveAfterDays: 91 });
    expect((await retentionStep({ DB, BLOBS: env.BLOBS }, later(92), policy)).archived).toBe(0);
    expect([await idsOf(client), await archiveBlobs()]).toEqual([[first, second], []]);
    await settle(later(92), policy);
    expect((await archivedLines()).map(({ id, reference }) => [id, reference])).toEqual([
      [first, "Two."],
      [second, null],
    ]);
  });

  test("cut off anywhere, every event is in one place, and no blob is left over in the end", async () => {
    const policy = keeping({ archiveAfterDays: 91 });
    await postShowing(client, "a", [[imageOf(1)], [], [imageOf(1)], [], []]);
    const before = await rows<{ id: string }>("SELECT id FROM failures ORDER BY id");
    let cuts = 0;
    for (let at = 1; at <= 40; at++) {
      const lost = cutOff(at, at % 2 === 1 ? "before" : "after");
      await survives(retentionStep(lost, later(92), policy, TINY));
      cuts += lost.state.reached ? 1 : 0;
      const places = [...(await rows<{ id: string }>("SELECT id FROM failures")), ...(await archivedLines())];
      expect(places.map(({ id }) => id).sort()).toEqual(before.map(({ id }) => id));
      await expectNoRowWithoutBlob();
    }
    expect(cuts).toBeGreaterThan(10);
    await settle(later(92) + REMOVAL_LOST_MS + 60_000, policy);
    expect(await archiveBlobs()).toEqual(
      (await rows<{ blob: string }>("SELECT blob FROM archives ORDER BY blob")).map((r) => r.blob),
    );
    expect(await archivedLines()).toHaveLength(5);
  });
});

test("archived events are deleted in their time, with their images, but not what was made of them", async () => {
  const [made, mere] = await uploadImages(client.key, 1, 2);
  if (!made || !mere) throw new Error("two images are needed");
  await postShowing(client, "made", [[made]]);
  await postShowing(client, "mere", [[mere]], { reference: undefined });
  await settle(later(92), keeping({ archiveAfterDays: 91, imageGraceDays: 0 }));
  expect([await countRows("archives"), await imagesStored()]).toEqual([1, [made, mere].sort()]);

  await settle(later(99), keeping({ archiveAfterDays: 91, deleteAfterDays: 100, imageGraceDays: 0 }));
  expect(await countRows("archives")).toBe(1);
  await settle(later(101), keeping({ archiveAfterDays: 91, deleteAfterDays: 100, imageGraceDays: 0 }));
  expect([await countRows("archives"), await archiveBlobs()]).toEqual([0, []]);
  expect(await rows("SELECT failure_id, client_id FROM sources")).toEqual([
    { failure_id: null, client_id: client.clientId },
  ]);
  expect([await imagesStored(), await blobs("images/")]).toEqual([[made], [`images/${made}`]]);
  expect((await audits("retention.expire")).map(({ details }) => details.events)).toEqual([2]);
});

describe("images", () => {
  const policy = keeping({ imageGraceDays: 7 });

  test("that nothing shows go after their grace, rows and bytes; all others stay", async () => {
    const [idle, shown, source, wanted] = await uploadImages(client.key, 1, 2, 3, 4);
    if (!idle || !shown || !source || !wanted) throw new Error("four images are needed");
    await postShowing(client, "e", [[shown]]);
    await storeSource({ id: "import", images: [source], uploaded: false });
    await env.DB.prepare("UPDATE images SET wanted_at = ?2 WHERE sha256 = ?1").bind(wanted, later(3)).run();

    await settle(later(6), policy, TINY);
    expect(await imagesStored()).toHaveLength(4);
    await settle(later(8), policy, TINY);
    expect(await imagesStored()).toEqual([shown, source, wanted].sort());
    expect(await blobs("images/")).toEqual([shown, source, wanted].sort().map((one) => `images/${one}`));
    await settle(later(11), policy, TINY);
    expect(await imagesStored()).toEqual([shown, source].sort());
    expect((await audits("images.collect")).map(({ details }) => details.images)).toEqual([1, 1]);
  });

  test("that an event shows a moment before they would go, stay", async () => {
    const [image = ""] = await uploadImages(client.key, 1);
    const DB = interrupted("INSERT INTO removals", () => postShowing(client, "e", [[image]]));
    await retentionStep({ DB, BLOBS: env.BLOBS }, later(8), policy);
    expect([await countRows("failures"), await imagesStored()]).toEqual([1, [image]]);
  });

  test("uploaded again while they are removed, are refused until the bytes are gone", async () => {
    const [image = ""] = await uploadImages(client.key, 1);
    const again = async () => {
      const body = await makePng({ width: 2, height: 2 }, 1);
      return (await call("PUT", `/v1/images/${image}`, { key: client.key, body })).status;
    };
    let during = 0;
    const BLOBS = new Proxy(env.BLOBS, {
      get(store, name) {
        const value = Reflect.get(store, name);
        if (name !== "delete") return typeof value === "function" ? value.bind(store) : value;
        return async (keys: string[]) => {
          during = await again();
          await store.delete(keys);
        };
      },
    });
    expect((await retentionStep({ DB: env.DB, BLOBS }, later(8), policy)).collected).toBe(1);
    expect([during, await imagesStored(), await blobs("images/")]).toEqual([503, [], []]);
    expect(await again()).toBe(201);
    await expectNoRowWithoutBlob();
    expect(await imagesStored()).toEqual([image]);
  });

  test("an upload that began before a removal makes no row after it", async () => {
    const bytes = await makePng({ width: 2, height: 2 }, 1);
    const image = await sha256Of(bytes);
    await env.BLOBS.put(`images/${image}`, bytes);
    const DB = interrupted("INSERT INTO images", () => retentionStep(env, later(2), keeping()));
    const actor = { kind: "system", scopes: ["ingest"] } as const;
    await expect(putImage({ DB, BLOBS: env.BLOBS }, actor, image, bytes, Date.now())).rejects.toMatchObject({
      code: "overloaded",
    });
    expect([await imagesStored(), await blobs("images/")]).toEqual([[], []]);
    await expectUpload(client.key, 1);
    await expectNoRowWithoutBlob();
  });

  test("cut off anywhere, no row is without its bytes, and the rest is done later", async () => {
    let cuts = 0;
    for (let at = 1; ; at++) {
      await emptyAll();
      await uploadImages(client.key, 1, 2, 3);
      const lost = cutOff(at, at % 2 === 1 ? "before" : "after");
      await survives(retentionStep(lost, later(8), policy));
      if (!lost.state.reached) break;
      cuts += 1;
      await expectNoRowWithoutBlob();
      await settle(later(8) + REMOVAL_LOST_MS + 60_000, policy);
      expect([await imagesStored(), await blobs("images/")]).toEqual([[], []]);
    }
    expect(cuts).toBeGreaterThan(10);
  });

  test("bytes that never got a row go after a day", async () => {
    await env.BLOBS.put(`images/${imageOf(1)}`, "bytes");
    await env.BLOBS.put("archive/failures/c/1-x.ndjson.gz", "bytes");
    await env.BLOBS.put("ticks/x.json", "bytes");
    const [stored = ""] = await uploadImages(client.key, 1);
    await settle(later(0.9), keeping(), TINY);
    expect(await blobs("")).toHaveLength(4);
    await settle(later(1.1), keeping(), TINY);
    expect(await blobs("")).toEqual([`images/${stored}`, "ticks/x.json"]);
    expect((await audits("blobs.sweep")).map(({ details }) => details.blobs)).toEqual([1, 1]);
  });

  test("what was removed is forgotten when no upload can have begun before it", async () => {
    await uploadImages(client.key, 1);
    await settle(later(8), policy);
    expect(await rows("SELECT done FROM removals")).toEqual([{ done: 1 }]);
    await settle(later(9.1), policy);
    expect(await countRows("removals")).toBe(0);
  });
});

describe("the cron", () => {
  const crons = (fields: Partial<typeof env>) => ({ ...env, EDIT_QUEUE: new RecordingQueue().asBinding(), ...fields });

  test("does it by the policy of now", async () => {
    await setPolicy({ retention: { archiveAfterDays: 2 } });
    await postShowing(client, "a", [[]]);
    await onCron(crons({}), later(3));
    expect([await countRows("failures"), await countRows("archives")]).toEqual([0, 1]);
  });

  test("plans even when that fails", async () => {
    await postShowing(client, "a", [[]]);
    await onCron(crons({ BLOBS: cutOff(1, "before").BLOBS }), later(3));
    expect(await countRows("ticks")).toBe(1);
  });
});

test("steps and erasures at the same time do everything once, and lose nothing", async () => {
  const other = await createKey(["ingest"]);
  const [shared = "", own = ""] = await uploadImages(client.key, 1, 2);
  await uploadImages(client.key, 3, 4);
  await postShowing(client, "mine", [[shared], [own], [], []]);
  await postShowing(other, "theirs", [[shared], [], [], [shared], []]);
  const theirs = await idsOf(other);
  const policy = keeping({ archiveAfterDays: 91, imageGraceDays: 7 });
  const now = later(92);
  const admin = { kind: "system", scopes: ["admin"] } as const;
  for (let round = 0; round < 4; round++) {
    await Promise.all([
      retentionStep(env, now, policy, TINY),
      retentionStep(env, now + 1, policy, TINY),
      ...(round === 1 ? [requestErasure(env, admin, { client: client.clientId }, now, TINY)] : []),
      retentionStep(env, now + 2, policy),
    ]);
    await expectNoRowWithoutBlob();
  }
  await settle(now + REMOVAL_LOST_MS + 60_000, policy);
  expect((await archivedLines()).map(({ id }) => id).sort()).toEqual([...theirs].sort());
  expect([await countRows("failures"), await imagesStored(), await blobs("images/")]).toEqual([
    0,
    [shared],
    [`images/${shared}`],
  ]);
  const [erased] = await rows<{ removed: string }>("SELECT removed FROM erasures WHERE state = 'done'");
  const { events, archivedEvents, images } = JSON.parse(erased?.removed ?? "{}");
  expect([events + archivedEvents, images]).toEqual([4, 1]);
});

describe("no statement reads what it need not", () => {
  /** Every statement that steps prepare, by its text. */
  async function statements(run: (DB: D1Database) => Promise<unknown>): Promise<string[]> {
    const seen = new Set<string>();
    const remember = (sql: string) => {
      seen.add(sql);
      return sql;
    };
    const DB = new Proxy(env.DB, {
      get(db, name) {
        if (name === "prepare") return (sql: string) => db.prepare(remember(sql));
        const value = Reflect.get(db, name);
        return typeof value === "function" ? value.bind(db) : value;
      },
    });
    await run(DB);
    return [...seen];
  }

  test("tables that grow with traffic are searched by an index, never scanned", async () => {
    const [image = ""] = await uploadImages(client.key, 1);
    await postShowing(client, "a", [[image], [image], []]);
    const admin = { kind: "system", scopes: ["admin"] } as const;
    const seen = await statements(async (DB) => {
      const on = { DB, BLOBS: env.BLOBS };
      const policy = keeping({ archiveAfterDays: 1, deleteAfterDays: 3, imageGraceDays: 0 });
      await retentionStep(on, later(2), policy);
      await requestErasure(on, admin, { image }, later(2));
      await requestErasure(on, admin, { client: client.clientId }, later(2));
      await retentionStep(on, later(4), policy);
    });
    expect(seen.length).toBeGreaterThan(40);
    const large =
      /SCAN (failures|f|newer|sources|s|pairs|p|edit_jobs|image_refs|r|seen|pair_scores|pair_refusals|images|i)\b/;
    for (const sql of seen) {
      const plan = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .bind(...Array(Math.max(0, ...[...sql.matchAll(/\?(\d+)/g)].map(([, place]) => Number(place)))).fill("[]"))
        .all<{ detail: string }>();
      for (const { detail } of plan.results) expect(detail, sql).not.toMatch(large);
    }
  });

  test("a row that is deleted is looked for in its children by an index", async () => {
    const tables = await rows<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
    );
    const parents = new Set(["failures", "sources", "edit_jobs", "pairs"]);
    let checked = 0;
    for (const { name } of tables) {
      const keys = await rows<{ table: string; from: string }>(`PRAGMA foreign_key_list(${name})`);
      for (const { from } of keys.filter(({ table }) => parents.has(table))) {
        const [plan] = await rows<{ detail: string }>(
          `EXPLAIN QUERY PLAN SELECT 1 FROM ${name} WHERE ${from} = ?1`,
          "x",
        );
        expect(plan?.detail, `${name}.${from}`).toMatch(/^SEARCH/);
        checked += 1;
      }
    }
    expect(checked).toBe(8);
  });
});
