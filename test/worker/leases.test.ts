import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { ClaimedRound } from "../../shared/contracts/training.ts";
import { onCron } from "../../workers/scheduler/cron.ts";
import { claimRound as claimNext } from "../../workers/training/claim.ts";
import { emptyLoop, interrupted, RecordingQueue, rows, setPolicy } from "./fixtures.ts";
import {
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
import { call, createKey, expectError, expectJson } from "./support.ts";

let key: string;

beforeEach(async () => {
  await emptyLoop();
  await setPolicy({ training: { minPairs: 2, maxPairs: 10, regionCapShare: 1 } });
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
    const db = interrupted("FROM regions WHERE backlog", () => claim(key, "same"));
    const claimed = await claimNext({ DB: db }, { kind: "system", scopes: ["train"] }, "same", Date.now());
    expect(claimed.round).toMatchObject({ resumed: true, lease: { fence: 2 } });
    expect(await rows("SELECT id FROM leases")).toHaveLength(1);
  });

  test("too few pairs: nothing is leased and the reason has the numbers", async () => {
    await storeReady("s", 1);
    expect(await claim(key, "t")).toEqual({ round: null, reason: "A round needs 2 pairs, 1 are waiting." });
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
    await setPolicy({ training: { learningRate: 0.5, minPairs: 2 } });
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
          await setPolicy({ training: { minPairs: 2, maxPairs: 10, regionCapShare: 1 } });
        }),
      { numRuns: 10 },
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
