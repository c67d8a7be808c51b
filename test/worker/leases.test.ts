import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { counting } from "../../bench/lease/counting.ts";
import { noReads, type Reads } from "../../bench/lease/reads.ts";
import type { ClaimedRound, PairLine } from "../../shared/contracts/training.ts";
import { BATCH_PAIRS } from "../../shared/hardness/batch.ts";
import { onCron } from "../../workers/scheduler/cron.ts";
import { queueHeads } from "../../workers/store/pairs.ts";
import { claimRound as claimNext } from "../../workers/training/claim.ts";
import { emptyLoop, interrupted, RecordingQueue, rows, setPolicy, storePairs, storeSources } from "./fixtures.ts";
import {
  allLines,
  claim,
  claimRound,
  everything,
  gateOf,
  type Held,
  letExpire,
  manifestOf,
  onRound,
  promote,
  scored,
  storeReady,
  uploadAdapter,
} from "./rounds-support.ts";
import { call, createKey, expectError, expectJson, sha256Of } from "./support.ts";

/** Fixtures are as old as the epoch. */
const AGELESS = { pairs: { expireAfterDays: 36_500 } };

let key: string;

beforeEach(async () => {
  await emptyLoop();
  await setPolicy({ training: { minPairs: 2, maxPairs: 10, regionCapShare: 1 }, batch: { startPairs: 2 }, ...AGELESS });
  key = (await createKey(["train"])).key;
});

/** Pairs that two live leases hold would show here. */
async function livePairs() {
  return rows<{ id: string; leases: number }>(
    `SELECT p.id, count(*) AS leases FROM pairs p JOIN leases l ON l.round_id = p.round_id AND l.state = 'live'
     WHERE p.state = 'leased' GROUP BY p.id`,
  );
}

describe("claim", () => {
  test("twenty trainers at once: no pair is in two live leases, and every leased pair is counted", async () => {
    await storeReady("s", 45);
    const claims = await Promise.all(Array.from({ length: 20 }, (_, i) => claim(key, `trainer-${i}`)));
    const rounds = claims.flatMap(({ round }) => (round ? [round] : []));
    const held = await livePairs();
    expect(held.every(({ leases }) => leases === 1)).toBe(true);
    expect(held.length).toBe(rounds.reduce((sum, round) => sum + round.batch.pairs, 0));
    // 45 pairs are four batches of ten and one of five.
    expect(rounds.map((round) => round.batch.pairs).sort((a, b) => a - b)).toEqual([5, 10, 10, 10, 10]);
    expect(new Set(rounds.map(({ id }) => id)).size).toBe(5);
    const [counted] = await rows<{ n: number }>("SELECT count(*) AS n FROM pairs WHERE state = 'leased'");
    expect(counted?.n).toBe(45);
    for (const { round, reason } of claims) if (!round) expect(reason).toBeTruthy();
  });

  test("one trainer that asks ten times at once gets one round", async () => {
    await storeReady("s", 40);
    const claims = await Promise.all(Array.from({ length: 10 }, () => claim(key, "same")));
    const rounds = claims.flatMap(({ round }) => (round ? [round] : []));
    expect(new Set(rounds.map(({ id }) => id)).size).toBe(1);
    expect(rounds.filter(({ resumed }) => !resumed)).toHaveLength(1);
    // Every answer has a fence of its own: at most one of the ten can write.
    expect(new Set(rounds.map(({ lease }) => lease.fence)).size).toBe(rounds.length);
    expect(await livePairs()).toHaveLength(10);
  });

  test("one trainer whose other claim got through meanwhile is given that round, not a second one", async () => {
    await storeReady("s", 40);
    const db = interrupted("l.waiting_open, l.waiting_yes", () => claim(key, "same"));
    const request = { trainer: "same", demand: false };
    const claimed = await claimNext({ DB: db }, { kind: "system", scopes: ["train"] }, request, Date.now());
    expect(claimed.round).toMatchObject({ resumed: true, lease: { fence: 2 } });
    expect(await rows("SELECT id FROM leases")).toHaveLength(1);
  });

  test("of rows that hold other pairs by now none is leased: the batch is chosen anew", async () => {
    const ids = await storeReady("s", 40);
    const db = interrupted("INSERT INTO rounds", () =>
      env.DB.batch(["-rowid", "rowid + 41"].map((row) => env.DB.prepare(`UPDATE pairs SET rowid = ${row}`))),
    );
    const request = { trainer: "same", demand: false };
    const { round } = await claimNext({ DB: db }, { kind: "system", scopes: ["train"] }, request, Date.now());
    const held = (await livePairs()).map(({ id }) => id).sort();
    expect(held).toEqual(ids.slice(0, 10).sort());
    const digest = await sha256Of(new TextEncoder().encode(held.join("\n")));
    expect(round?.batch).toEqual({ pairs: 10, sha256: digest });
    expect(await rows("SELECT id FROM rounds")).toHaveLength(1);
  });

  test("too few pairs: nothing is leased and the reason has the numbers", async () => {
    await storeReady("s", 1);
    expect(await claim(key, "t")).toEqual({
      round: null,
      reason: "Though there was no round yet, only 1 pair is ready; a round starts by itself with 2 or more.",
    });
    expect(await rows("SELECT id FROM rounds")).toEqual([]);
    expect(await rows("SELECT id FROM leases")).toEqual([]);
    expect(await rows("SELECT id FROM pairs WHERE state <> 'ready'")).toEqual([]);
  });

  test("refuses a body that names no trainer, naming the field", async () => {
    const error = await expectError(await call("POST", "/v1/rounds", { key, json: { trainer: "" } }), 400);
    expect(error.details?.map(({ path }) => path)).toEqual(["trainer"]);
  });
});

describe("resume", () => {
  test("gives the same round with the next fence, and the holder before can write no more", async () => {
    const [pair = ""] = await storeReady("s", 4);
    const first = await claimRound(key, "t");
    const second = await claimRound(key, "t");
    expect(second).toMatchObject({ id: first.id, resumed: true, batch: first.batch, reference: null });
    expect(second.lease).toMatchObject({ id: first.lease.id, fence: first.lease.fence + 1 });

    const before = await everything();
    const late = await onRound(key, first, "POST", "heartbeat", { phase: "train", step: 1, steps: 2 });
    expect((await expectError(late, 409)).code).toBe("conflict");
    await expectError(await onRound(key, first, "POST", "reports", { reports: [scored(pair)] }), 409);
    await expectError(await onRound(key, first, "GET", "pairs"), 409);
    expect(await everything()).toEqual(before);
    await expectJson(await onRound(key, second, "POST", "heartbeat", { phase: "train", step: 1, steps: 2 }));
  });

  test("keeps the policy the round was claimed under", async () => {
    await storeReady("s", 4);
    const first = await claimRound(key, "t");
    await setPolicy({ training: { learningRate: 0.5 } });
    expect((await claimRound(key, "t")).policy).toEqual(first.policy);
  });

  test("another trainer's live lease does not stand in the way of other pairs", async () => {
    await storeReady("s", 20);
    const [one, other] = [await claimRound(key, "one"), await claimRound(key, "other")];
    expect(other.id).not.toBe(one.id);
    expect(await livePairs()).toHaveLength(20);
  });
});

describe("expiry", () => {
  /** Every call that writes or reads as a holder. */
  async function lateCalls(round: Awaited<ReturnType<typeof claimRound>>, pair: string): Promise<Response[]> {
    const adapter = await uploadAdapter(key, "late");
    const complete = { adapter, manifest: manifestOf(round), gate: gateOf("promoted"), metrics: {} };
    const before = await everything();
    const responses = [
      await onRound(key, round, "POST", "heartbeat", { phase: "train", step: 1, steps: 2 }),
      await onRound(key, round, "POST", "reports", { reports: [scored(pair), { pairId: "x", refused: "too long" }] }),
      await onRound(key, round, "POST", "complete", complete),
      await onRound(key, round, "POST", "release", { reason: "preempted" }),
      await onRound(key, round, "GET", "pairs"),
      await onRound(key, round, "GET", "gate"),
    ];
    expect(await everything()).toEqual(before);
    return responses;
  }

  test("a late holder gets 409 everywhere and changes nothing, before the lease was swept and after", async () => {
    const [pair = ""] = await storeReady("s", 4);
    const late = await claimRound(key, "t");
    await letExpire(late);
    for (const response of await lateCalls(late, pair)) await expectError(response, 409);

    await onCron({ ...env, EDIT_QUEUE: new RecordingQueue().asBinding() }, Date.now());
    expect(await rows("SELECT state FROM rounds")).toEqual([{ state: "expired" }]);
    for (const response of await lateCalls(late, pair)) await expectError(response, 409);
  });

  test("its pairs can be claimed again exactly once", async () => {
    await storeReady("s", 4);
    const late = await claimRound(key, "gone");
    await letExpire(late);
    const claims = await Promise.all(Array.from({ length: 8 }, (_, i) => claim(key, `next-${i}`)));
    const rounds = claims.flatMap(({ round }) => (round ? [round] : []));
    expect(rounds).toHaveLength(1);
    expect(rounds[0]).toMatchObject({ resumed: false, batch: { pairs: 4, sha256: late.batch.sha256 } });
    expect((await livePairs()).every(({ leases }) => leases === 1)).toBe(true);
    await promote(key, rounds[0] as Awaited<ReturnType<typeof claimRound>>, "next");
    expect(await rows("SELECT DISTINCT state, trainings FROM pairs")).toEqual([{ state: "trained", trainings: 1 }]);
  });

  test("the same trainer gets a new round, not the expired one", async () => {
    await storeReady("s", 4);
    const late = await claimRound(key, "t");
    await letExpire(late);
    const next = await claimRound(key, "t");
    expect(next).toMatchObject({ resumed: false, lease: { fence: 1 } });
    expect(next.id).not.toBe(late.id);
  });

  test("a heartbeat keeps the lease for another full time and stores the progress", async () => {
    await storeReady("s", 4);
    const round = await claimRound(key, "t");
    const before = Date.now();
    const beat = { phase: "train", step: 3, steps: 40 };
    const { expiresAt } = await expectJson<{ expiresAt: number }>(await onRound(key, round, "POST", "heartbeat", beat));
    expect(expiresAt).toBeGreaterThanOrEqual(before + round.lease.ttlMs);
    const [row] = await rows<{ progress: string }>("SELECT progress FROM rounds");
    expect(JSON.parse(row?.progress ?? "")).toEqual(beat);
  });
});

describe("the lease's headers", () => {
  const forged = (round: Held): Held[] => [
    { id: round.id, lease: { id: "another-lease", fence: 1 } },
    { id: round.id, lease: { id: round.lease.id, fence: 2 } },
    { id: "another-round", lease: round.lease },
  ];

  test("another lease, fence or round is refused with 409", async () => {
    await storeReady("s", 4);
    const round = await claimRound(key, "t");
    const before = await everything();
    for (const other of forged(round)) {
      await expectError(await onRound(key, other, "POST", "release", { reason: "no" }), 409);
      await expectError(await onRound(key, other, "POST", "heartbeat", { phase: "gate", step: 0, steps: 0 }), 409);
    }
    expect(await everything()).toEqual(before);
  });

  test("a missing or malformed one is refused with 400, naming it", async () => {
    await storeReady("s", 4);
    const { id, lease } = await claimRound(key, "t");
    const json = { reason: "no" };
    const path = `/v1/rounds/${id}/release`;
    const none = await expectError(await call("POST", path, { key, json }), 400);
    expect(none.details?.map(({ path: field }) => field)).toEqual(["nearmiss-lease", "nearmiss-fence"]);
    for (const fence of ["0", "-1", "1.5", "one", "9".repeat(30)]) {
      const headers = { "nearmiss-lease": lease.id, "nearmiss-fence": fence };
      const error = await expectError(await call("POST", path, { key, json, headers }), 400);
      expect(error.details?.map(({ path: field }) => field)).toEqual(["nearmiss-fence"]);
    }
  });
});

describe("release", () => {
  test("gives the pairs back as they were, tells the reason, and twice is the same as once", async () => {
    await storeReady("s", 4);
    const round = await claimRound(key, "t");
    for (const _ of [1, 2]) {
      expect((await onRound(key, round, "POST", "release", { reason: "preempted" })).status).toBe(204);
    }
    expect(await rows("SELECT DISTINCT state, trainings FROM pairs")).toEqual([{ state: "ready", trainings: 0 }]);
    const [row] = await rows<{ state: string; progress: string }>("SELECT state, progress FROM rounds");
    expect(row?.state).toBe("released");
    expect(JSON.parse(row?.progress ?? "")).toEqual({ released: "preempted" });
    await expectError(await onRound(key, round, "POST", "heartbeat", { phase: "gate", step: 0, steps: 0 }), 409);
    expect((await claimRound(key, "t")).batch).toEqual(round.batch);
  });
});

describe("what a batch is made of", () => {
  const KIND = { task: "colour", errorType: "attribute" } as const;
  const idsOf = (lines: readonly PairLine[], use: PairLine["use"]) =>
    lines.filter((line) => line.use === use).map(({ id }) => id);

  async function change(sql: string, ...params: (string | number)[]): Promise<void> {
    await env.DB.prepare(sql)
      .bind(...params)
      .run();
  }

  /** Sources `prefix-0` .. of another region, one pair each. */
  async function storeColours(prefix: string, count: number): Promise<string[]> {
    const numbers = Array.from({ length: count }, (_, i) => i);
    await storeSources(numbers.map((i) => ({ ...KIND, id: `${prefix}-${i}`, answer: "It is red." })));
    return storePairs(numbers.map((i) => ({ ...KIND, source: `${prefix}-${i}`, createdAt: i })));
  }

  async function counters() {
    return rows("SELECT region, level, waiting_open, waiting_yes, waiting_no, again, saturated FROM region_levels");
  }

  test("new pairs, some to repeat, mastered ones to repeat and to score, sentinels; each goes back where it came from", async () => {
    await setPolicy({
      training: { maxPairs: 100 },
      batch: { againShare: 0.2, replayShare: 0.1, rescoreShare: 0.5, sentinelShare: 0.2 },
    });
    await storeReady("new", 20);
    const again = await storeReady("again", 5);
    const tired = await storeReady("tired", 2);
    const mastered = await storeColours("mastered", 6);
    const known = await storeColours("known", 8);
    const set =
      "UPDATE pairs SET state = ?2, trainings = ?3, scored_at = created_at WHERE id IN (SELECT value FROM json_each(?1))";
    await change(set, JSON.stringify(again), "trained", 1);
    await change(set, JSON.stringify(tired), "trained", 3);
    await change(set, JSON.stringify(mastered), "saturated", 1);
    await change(set, JSON.stringify(known), "parked", 0);
    await change("UPDATE pairs SET sentinel = 1 WHERE state = 'parked'");
    const before = [await rows("SELECT id, state, trainings FROM pairs ORDER BY id"), await counters()];

    const round = await claimRound(key, "t");
    const lines = await allLines<PairLine>(key, round, "pairs", 7);
    const trained = idsOf(lines, "train");
    expect(trained.filter((id) => id.startsWith("new"))).toHaveLength(20);
    expect(trained.filter((id) => id.startsWith("again"))).toHaveLength(4);
    expect(trained.filter((id) => id.startsWith("mastered"))).toEqual(mastered.slice(0, 2));
    expect(trained).toHaveLength(26);
    // Half of six mastered ones, and three sentinels twice: a fifth of the batch.
    const sentinels = known.slice(0, 3).flatMap((id) => [`sentinel:${id}`, `sentinel:${id}:swapped`]);
    expect(idsOf(lines, "score")).toEqual([...mastered.slice(2, 5), ...sentinels]);
    expect(round.batch.pairs).toBe(lines.length);
    const ids = lines.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort());
    expect(round.batch.sha256).toBe(await sha256Of(new TextEncoder().encode(ids.join("\n"))));

    const [asItIs, swapped] = lines.filter(({ id }) => id.startsWith("sentinel:known-0-"));
    expect(asItIs).toMatchObject({ chosen: "It is red.", rejected: `wrong ${known[0]}`, group: "known-0" });
    expect(swapped).toEqual({
      ...asItIs,
      id: `${asItIs?.id}:swapped`,
      chosen: asItIs?.rejected,
      rejected: asItIs?.chosen,
    });
    // The counts say what there is, leased or not.
    expect(await counters()).toEqual(before[1]);
    for (const end of ["release", "expiry"]) {
      if (end === "release") await onRound(key, round, "POST", "release", { reason: "preempted" });
      else {
        await letExpire(await claimRound(key, "t"));
        await onCron({ ...env, EDIT_QUEUE: new RecordingQueue().asBinding() }, Date.now());
      }
      expect([await rows("SELECT id, state, trainings FROM pairs ORDER BY id"), await counters()], end).toEqual(before);
      expect(await rows("SELECT id FROM pairs WHERE home IS NOT NULL OR lease_use IS NOT NULL")).toEqual([]);
    }
  });

  test("predictions stand since the claim, whatever is learnt meanwhile", async () => {
    await storeReady("s", 4);
    const round = await claimRound(key, "t");
    const before = await allLines<PairLine>(key, round, "pairs");
    await change("UPDATE regions SET ability_mean = 3");
    const resumed = await claimRound(key, "t");
    expect(await allLines<PairLine>(key, resumed, "pairs")).toEqual(before);
    await onRound(key, resumed, "POST", "release", { reason: "preempted" });
    const anew = await allLines<PairLine>(key, await claimRound(key, "t"), "pairs");
    expect(anew.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    for (const [i, line] of anew.entries()) expect(line.predicted).toBeGreaterThan(before[i]?.predicted ?? 1);
  });

  test("a round starts when it is time for one, or on demand with as little as there is, and says why not", async () => {
    await setPolicy({ training: { minPairs: 3 }, batch: { startPairs: 6, startFixes: 1_000 } });
    const request = (demand: boolean) => call("POST", "/v1/rounds", { key, json: { trainer: "t", demand } });
    const answer = async (demand: boolean) =>
      expectJson<{ round: ClaimedRound | null; reason?: string }>(await request(demand));
    expect(await answer(true)).toEqual({ round: null, reason: "No pair is ready." });
    await storeReady("s", 2);
    const { round: asked } = await answer(true);
    expect(asked?.batch.pairs).toBe(2);
    await promote(key, asked as ClaimedRound, "asked");

    await storeReady("more", 5);
    const { round, reason } = await answer(false);
    expect(round).toBeNull();
    expect(reason).toMatch(/^5 pairs are ready, and a round starts with 6; /);
    await storeReady("enough", 1);
    expect((await answer(false)).round?.batch.pairs).toBe(6);
  });

  test("a round that was given up or lost does not count as the last one", async () => {
    await setPolicy({ training: { minPairs: 3 }, batch: { startPairs: 1_000, startFixes: 1_000 } });
    await storeReady("s", 3);
    await onRound(key, await claimRound(key, "t"), "POST", "release", { reason: "preempted" });
    await letExpire(await claimRound(key, "t"));
    expect((await claimRound(key, "t")).batch.pairs).toBe(3);
  });

  test("no image and no beginning of a question is taken too often, and nothing twice", async () => {
    await setPolicy({
      training: { maxPairs: 100 },
      batch: { pairsPerImage: 3, templateCapShare: 0.5, duplicateShareMax: 0 },
    });
    await storeReady("s", 24);
    const number = "CAST(substr(id, 3, instr(substr(id, 3), '-') - 1) AS INTEGER)";
    await change(
      `UPDATE pairs SET image = 'image ' || iif(${number} < 8, 0, ${number}), template = iif(${number} < 18, 'how many', 'is there'),
              span_from = 'two', span_to = iif(${number} IN (22, 23), 'three', 'four ' || id)`,
    );
    await change("UPDATE pairs SET image = 'image 22' WHERE id = 's-23-count-near-3'");
    const round = await claimRound(key, "t");
    const taken = await rows<{ image: string; template: string }>(
      "SELECT image, template FROM pairs WHERE round_id = ?1",
      round.id,
    );
    const most = (counts: Map<string, unknown[]>) => Math.max(...[...counts.values()].map((group) => group.length));
    expect(most(Map.groupBy(taken, ({ image }) => image))).toBe(3);
    expect(most(Map.groupBy(taken, ({ template }) => template))).toBeLessThanOrEqual(12);
    expect(taken.filter(({ image }) => image === "image 22")).toHaveLength(1);
  });

  test("answers that give themselves away are left out; if too little stays, the claim is refused and says why", async () => {
    await setPolicy({ training: { maxPairs: 200, minPairs: 20 } });
    await storeReady("telling", 60);
    await change("UPDATE pairs SET span_from = 'one', span_to = 'many', image = id");
    const { round, reason } = await claim(key, "t");
    expect(round).toBeNull();
    expect(reason).toMatch(
      /^A round needs 20 pairs; of 60 that are ready, quotas and caps leave 0: 60 give their answer away/,
    );
    expect(await rows("SELECT id FROM pairs WHERE state <> 'ready'")).toEqual([]);

    await storeReady("reverse", 50);
    await change("UPDATE pairs SET span_from = 'many', span_to = 'one', image = id WHERE id LIKE 'reverse%'");
    const { round: fair } = await claim(key, "t");
    expect(fair?.batch.pairs).toBeGreaterThan(90);
  });

  describe("pairs that a batch cannot take", () => {
    const passed = () => rows<{ id: string; passes: number }>("SELECT id, passes FROM pairs WHERE passes > 0");
    /** What makes pairs unfit to stand in one batch. */
    const BLOCKS = {
      "say the same": "image = 'same', template = 'same', span_from = 'two', span_to = 'three'",
      "show one image": "image = 'same'",
      "begin alike": "template = iif(id LIKE 'bad-%0-%', id, 'same')",
      "give their answer away": "span_from = 'one', span_to = 'many'",
    };
    const FAIR = "image = 'i' || id, template = 't' || id, span_from = 'a' || id, span_to = 'b' || id";
    const STRICT = {
      training: { minPairs: 20, maxPairs: 40 },
      batch: { pairsPerImage: 4, templateCapShare: 0.1, againShare: 0, sentinelShare: 0 },
    };
    type Block = keyof typeof BLOCKS;

    /** The oldest pairs are of this kind, the others stand behind them. */
    async function blocked(block: Block, count: number, fair = 60): Promise<void> {
      await storeReady("good", fair);
      await storeReady("bad", count);
      await change(`UPDATE pairs SET ${FAIR}, created_at = 5`);
      await change(`UPDATE pairs SET ${BLOCKS[block]}, created_at = 0 WHERE id LIKE 'bad%'`);
    }

    test.for(Object.keys(BLOCKS) as Block[])(
      "do not stop rounds while there are others behind: those that %s",
      async (block) => {
        await setPolicy(STRICT);
        await blocked(block, 100);
        const round = await claimRound(key, "t");
        expect(round.batch.pairs).toBeGreaterThanOrEqual(20);
        expect((await passed()).length).toBeGreaterThan(0);
        expect(await rows("SELECT id FROM pairs WHERE passes > 0 AND state = 'leased'")).toEqual([]);
      },
    );

    test("of a region are not read again before its others, though the round has enough without it", async () => {
      await setPolicy(STRICT);
      await blocked("say the same", 60);
      await storeColours("other", 200);
      const first = await claimRound(key, "one");
      const held = async (round: ClaimedRound) =>
        rows("SELECT id FROM pairs WHERE round_id = ?1 AND id LIKE 'good%'", round.id);
      expect(await held(first)).toHaveLength(0);
      expect((await passed()).length).toBeGreaterThan(0);
      let good = 0;
      for (let i = 0; i < 3; i++) good += (await held(await claimRound(key, `next-${i}`))).length;
      expect(good).toBeGreaterThan(10);
    });

    test("and all that there are, are only counted when others could stand behind them", async () => {
      await setPolicy(STRICT);
      await blocked("say the same", 30, 0);
      for (const _ of [1, 2]) expect((await claim(key, "t")).reason).toMatch(/29 say the same as another/);
      expect(await passed()).toEqual([]);
    });

    test("go to the end of their queue when no round comes of it, too, and are taken in the end", async () => {
      await setPolicy({ ...STRICT, training: { minPairs: 5, maxPairs: 5 } });
      await blocked("give their answer away", 300, 0);
      await change("UPDATE pairs SET image = 'same', template = 'same'");
      expect((await claim(key, "t")).round).toBeNull();
      const counts = await passed();
      expect(counts.length).toBeGreaterThan(30);
      await change(`UPDATE pairs SET ${FAIR}`);
      const round = await claimRound(key, "t");
      const moved = new Set(counts.map(({ id }) => id));
      const held = await rows<{ id: string }>("SELECT id FROM pairs WHERE round_id = ?1", round.id);
      for (const { id } of held) expect(moved.has(id)).toBe(false);
    });

    test("give way to the others that are to be repeated, trained on or mastered", async () => {
      for (const state of ["trained", "saturated"]) {
        await emptyLoop();
        await setPolicy({
          training: { minPairs: 20, maxPairs: 60 },
          batch: { ...STRICT.batch, startPairs: 2, againShare: 0.2, replayShare: 0.2, rescoreShare: 0 },
          ...AGELESS,
        });
        await storeReady("new", 400);
        const old = await storeColours("old", 40);
        await change(
          "UPDATE pairs SET state = ?2, trainings = 1, scored_at = created_at WHERE id IN (SELECT value FROM json_each(?1))",
          JSON.stringify(old),
          state,
        );
        await change(`UPDATE pairs SET ${FAIR}`);
        await change("UPDATE pairs SET image = 'same' WHERE state = ?1 AND created_at < 30", state);
        for (let i = 0; i < 6; i++) await claimRound(key, `t-${i}`);
        const repeated = await rows("SELECT id FROM pairs WHERE home = ?1 AND image <> 'same'", state);
        expect(repeated.length, state).toBeGreaterThan(5);
      }
    });
  });

  test("of the ready pairs only the new ones that rounds hold are taken off", async () => {
    await setPolicy({ batch: { sentinelShare: 1, againShare: 0 } });
    await storeReady("new", 16);
    const known = await storeColours("known", 8);
    await change(
      "UPDATE pairs SET sentinel = 1, state = 'parked' WHERE id IN (SELECT value FROM json_each(?1))",
      JSON.stringify(known),
    );
    // Ten to train on, and five sentinels twice.
    expect((await claimRound(key, "one")).batch.pairs).toBe(20);
    expect((await claimRound(key, "other")).batch.pairs).toBe(12);
  });

  test("a sentinel that is erased while a batch is chosen: it is chosen anew", async () => {
    await setPolicy({ batch: { sentinelShare: 0.2 } });
    await storeReady("new", 10);
    const [first = "", second = ""] = await storeColours("known", 2);
    await change("UPDATE pairs SET sentinel = 1, state = 'parked' WHERE id IN (?1, ?2)", first, second);
    const db = interrupted("INSERT INTO rounds", () => change("DELETE FROM pairs WHERE id = ?1", first));
    const request = { trainer: "t", demand: false };
    const { round } = await claimNext({ DB: db }, { kind: "system", scopes: ["train"] }, request, Date.now());
    expect(round?.batch.pairs).toBe(12);
    expect(await rows("SELECT DISTINCT pair_id AS id FROM sentinel_scores")).toEqual([{ id: second }]);
  });

  test("no value is larger than what a database takes, whatever the pairs say", async () => {
    const mostBytes = 2_000_000;
    await storeReady("s", 1_000);
    const words = "\u8a9e".repeat(500);
    await change(
      "UPDATE pairs SET span_from = ?1, span_to = ?1 || id, image = id, template = ?2",
      words,
      "\u8a9e".repeat(100),
    );
    const region = "counting/count-near/en/image";
    let largest = 0;
    const watched = new Proxy(env.DB, {
      get(target, name) {
        if (name !== "batch") return Reflect.get(target, name).bind(target);
        return async (statements: D1PreparedStatement[]) => {
          const found = await target.batch<Record<string, unknown>>(statements);
          for (const value of found.flatMap(({ results }) => results.flatMap((row) => Object.values(row)))) {
            largest = Math.max(largest, new TextEncoder().encode(String(value)).length);
          }
          return found;
        };
      },
    });
    for (const limit of [100, 256, 320, 1_000]) {
      const [head = []] = await queueHeads(watched, [{ kind: "fresh", region, level: 3, polarity: null, limit }], 3);
      expect(head.map(({ id }) => id)).toEqual(Array.from({ length: limit }, (_, i) => `s-${i}-count-near-3`));
    }
    expect(largest).toBeGreaterThan(100_000);
    expect(largest).toBeLessThan(mostBytes);

    const round = await claimRound(key, "t");
    const [row] = await rows<{ predicted: string }>("SELECT predicted FROM rounds WHERE id = ?1", round.id);
    // A batch can have as many regions as pairs.
    expect((row?.predicted.length ?? mostBytes) * BATCH_PAIRS).toBeLessThan(mostBytes);
  });

  test("what a claim reads of pairs is what it leases and a few more, however many are ready", async () => {
    await setPolicy({ training: { maxPairs: 20 } });
    const readBy = async (): Promise<Reads> => {
      const reads = noReads();
      const request = { trainer: "t", demand: false };
      const actor = { kind: "system", scopes: ["train"] } as const;
      const { round } = await claimNext({ DB: counting(env.DB, reads) }, actor, request, Date.now());
      expect(round?.batch.pairs).toBe(20);
      await onRound(key, round as ClaimedRound, "POST", "release", { reason: "preempted" });
      return reads;
    };
    await storeReady("few", 30);
    const few = await readBy();
    await storeReady("many", 300);
    expect(await readBy()).toEqual(few);
    expect(few.pairs).toBeLessThanOrEqual(30);
    expect(await rows("SELECT id FROM pairs WHERE passes > 0")).toEqual([]);
  });

  test.for([10, 300])(
    "of pairs that were trained on often enough, or left out as often, none is read: %d are asked for",
    async (limit) => {
      const ids = await storeReady("s", 300);
      await change("UPDATE pairs SET state = 'trained', trainings = 3");
      await change("UPDATE pairs SET trainings = 1, passes = 2 WHERE id LIKE 's-1%'");
      await change("UPDATE pairs SET trainings = 1, passes = id LIKE 's-8-%' WHERE id LIKE 's-8-%' OR id LIKE 's-9-%'");
      const reads = noReads();
      const region = "counting/count-near/en/image";
      const [head = []] = await queueHeads(counting(env.DB, reads), [{ kind: "again", region, level: 3, limit }], 3);
      expect(head.map(({ id }) => id)).toEqual([ids[9], ids[8]]);
      expect(reads.pairs).toBeLessThanOrEqual(5);
    },
  );
});

describe("any order of events", () => {
  type Step = "claim" | "report" | "promote" | "reject" | "release" | "expire" | "late" | "sweep";
  const steps: readonly Step[] = [
    "claim",
    "claim",
    "report",
    "promote",
    "reject",
    "release",
    "expire",
    "late",
    "sweep",
  ];
  const schedule = fc.array(fc.record({ step: fc.constantFrom(...steps), trainer: fc.constantFrom("a", "b", "c") }), {
    minLength: 10,
    maxLength: 25,
  });

  test("no pair is in two live leases, trained twice by one round, or lost; every count is what the rows say", async () => {
    await fc.assert(
      fc
        .asyncProperty(schedule, async (plan) => {
          await storeReady("s", 25);
          const holders = new Map<string, ClaimedRound>();
          let adapters = 0;
          for (const { step, trainer } of plan) {
            const round = holders.get(trainer);
            if (step === "claim") {
              const claimed = (await claim(key, trainer)).round;
              if (claimed) holders.set(trainer, claimed);
            } else if (step === "sweep") {
              await onCron({ ...env, EDIT_QUEUE: new RecordingQueue().asBinding() }, Date.now());
            } else if (round) {
              if (step === "expire") await letExpire(round);
              if (step === "release") await onRound(key, round, "POST", "release", { reason: "preempted" });
              if (step === "report")
                await onRound(key, round, "POST", "reports", { reports: [scored("s-1-count-near-3")] });
              if (step === "promote") await promoteIfHeld(round, `fuzz-${adapters++}`);
              if (step === "reject") {
                const json = { adapter: null, manifest: null, gate: gateOf("rejected"), metrics: {} };
                await onRound(key, round, "POST", "complete", json);
              }
              if (step === "late") {
                const late = { ...round, lease: { ...round.lease, fence: round.lease.fence + 1 } };
                await expectError(await onRound(key, late, "POST", "release", { reason: "forged" }), 409);
              }
            }
            await expectSound();
          }
        })
        .beforeEach(async () => {
          await emptyLoop();
          await setPolicy({
            training: { minPairs: 2, maxPairs: 10, regionCapShare: 1 },
            batch: { startPairs: 2 },
            ...AGELESS,
          });
        }),
      { numRuns: 6 },
    );
  });

  async function promoteIfHeld(round: ClaimedRound, name: string): Promise<void> {
    const held = await rows<{ id: string }>("SELECT id FROM pairs WHERE round_id = ?1 AND state = 'leased'", round.id);
    const reports = held.map(({ id }) => scored(id));
    if (reports.length > 0) await onRound(key, round, "POST", "reports", { reports });
    const adapter = await uploadAdapter(key, name);
    const json = { adapter, manifest: manifestOf(round), gate: gateOf("promoted"), metrics: {} };
    await onRound(key, round, "POST", "complete", json);
  }

  /** What must hold at any moment; each query finds what breaks it. */
  async function expectSound(): Promise<void> {
    const broken = {
      "leased without a live lease, or with two": `SELECT p.id FROM pairs p WHERE p.state = 'leased' AND
         (SELECT count(*) FROM leases l WHERE l.round_id = p.round_id AND l.state = 'live') <> 1`,
      "trainings that no promoted round explains": `SELECT p.id FROM pairs p WHERE p.trainings <>
         (SELECT count(*) FROM pair_scores s JOIN rounds r ON r.id = s.round_id
          WHERE s.pair_id = p.id AND r.verdict = 'promoted')`,
      "leased without a home, or at home with one": `SELECT id FROM pairs WHERE (state = 'leased') <> (home IS NOT NULL)
         OR (state = 'leased') <> (lease_use IS NOT NULL)`,
      "a state outside ready, leased and trained":
        "SELECT id FROM pairs WHERE state NOT IN ('ready', 'leased', 'trained')",
      "a backlog that is not the waiting pairs": `SELECT key FROM regions WHERE backlog <>
         (SELECT count(*) FROM pairs WHERE region = regions.key AND state IN ('ready', 'leased'))`,
      "a live lease of an ended round": `SELECT l.id FROM leases l JOIN rounds r ON r.id = l.round_id
         WHERE (l.state = 'live') <> (r.state = 'claimed')`,
      "a round that holds other than it leased": `SELECT r.id FROM rounds r WHERE r.state = 'claimed' AND r.pairs <>
         (SELECT count(*) FROM pairs p WHERE p.round_id = r.id AND p.state = 'leased')`,
      "a champion that no verdict made": `SELECT adapter FROM pointers c WHERE name = 'champion' AND adapter IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM rounds r WHERE r.adapter = c.adapter AND r.verdict = 'promoted')`,
    };
    for (const [what, query] of Object.entries(broken)) expect(await rows(query), what).toEqual([]);
  }
});
