import { createMessageBatch } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { imagesOf } from "../../shared/contracts/common.ts";
import type { GateLine, PairLine } from "../../shared/contracts/training.ts";
import { POLARITY_SLACK_PAIRS } from "../../shared/hardness/allotment.ts";
import { splitOfImage } from "../../shared/taxonomy/split.ts";
import { onEditMessages } from "../../workers/editor/consumer.ts";
import { runTick } from "../../workers/scheduler/tick.ts";
import { completeRound } from "../../workers/training/complete.ts";
import {
  emptyLoop,
  imageOf,
  interrupted,
  RecordingQueue,
  rows,
  setPolicy,
  storeImages,
  storeJobs,
  storePair,
  storePairs,
  storeSource,
  storeSources,
} from "./fixtures.ts";
import {
  allLines,
  claim,
  claimRound,
  everything,
  gateOf,
  manifestOf,
  onRound,
  promote,
  scored,
  storeReady,
  uploadAdapter,
} from "./rounds-support.ts";
import { createKey, expectError, expectJson, postEvents, prompt, sha256Of, testEvent } from "./support.ts";

let key: string;

beforeEach(async () => {
  await emptyLoop();
  await setPolicy({ training: { minPairs: 2, maxPairs: 100, regionCapShare: 1 }, batch: { startPairs: 2 } });
  key = (await createKey(["train"])).key;
});

interface Region {
  backlog: number;
  scored: number;
  ability_mean: number;
  ability_var: number;
  chosen_log_ratio: number;
}

async function region(name = "counting/count-near/en/image"): Promise<Region> {
  const [row] = await rows<Region>("SELECT * FROM regions WHERE key = ?1", name);
  if (!row) throw new Error(`no region ${name}`);
  return row;
}

function complete(round: Awaited<ReturnType<typeof claimRound>>, json: unknown): Promise<Response> {
  return onRound(key, round, "POST", "complete", json);
}

describe("the batch", () => {
  test("its pages hold every leased pair once, by id, and its digest is that of the ids", async () => {
    const ids = await storeReady("s", 23);
    const round = await claimRound(key, "t");
    const lines = await allLines<PairLine>(key, round, "pairs", 5);
    expect(lines.map(({ id }) => id)).toEqual([...ids].sort());
    expect(round.batch.sha256).toBe(await sha256Of(new TextEncoder().encode([...ids].sort().join("\n"))));
    expect(lines[0]).toEqual({
      id: "s-0-count-near-3",
      group: "s-0",
      region: "counting/count-near/en/image",
      task: "counting",
      errorType: "count-near",
      level: 3,
      origin: "builtin",
      conversation: [
        {
          role: "user",
          content: [
            { type: "image", sha256: imageOf(1) },
            { type: "text", text: "How many dogs are there?" },
          ],
        },
      ],
      chosen: "There are two dogs.",
      rejected: "wrong s-0-count-near-3",
      use: "train",
      predicted: expect.closeTo(1 / (1 + Math.exp(0.5)), 4),
    });
    for (const limit of ["0", "501", "1.5", "x"]) {
      await expectError(await onRound(key, round, "GET", `pairs?limit=${limit}`), 400);
    }
  });

  test("takes the level nearest to the middle first, and of it the oldest", async () => {
    await setPolicy({ training: { maxPairs: 5 } });
    const numbers = [0, 1, 2, 3];
    await storeSources(numbers.map((i) => ({ id: `s${i}` })));
    await storePairs(
      numbers.flatMap((i) => [3, 4].map((level) => ({ source: `s${i}`, level, createdAt: -level * i }))),
    );
    const lines = await allLines<PairLine>(key, await claimRound(key, "t"), "pairs");
    const ids = numbers.map((i) => `s${i}-count-near-3`);
    expect(lines.map(({ id }) => id).sort()).toEqual([...ids, "s3-count-near-4"]);
  });

  test("takes from every region what it is worth, and from none above its cap", async () => {
    await setPolicy({ training: { maxPairs: 20, regionCapShare: 0.5 } });
    await storeReady("many", 40);
    for (const [errorType, count] of [
      ["attribute", 8],
      ["attribute-swap", 1],
    ] as const) {
      for (let i = 0; i < count; i++) {
        await storeSource({ id: `${errorType}${i}`, task: "colour", errorType });
        await storePair({ source: `${errorType}${i}`, task: "colour", errorType });
      }
    }
    const lines = await allLines<PairLine>(key, await claimRound(key, "t"), "pairs");
    const counts = Map.groupBy(lines, (line) => line.errorType);
    expect(counts.get("count-near")).toHaveLength(10);
    expect(counts.get("attribute")).toHaveLength(8);
    expect(counts.get("attribute-swap")).toHaveLength(1);
  });

  test("holds as many right answers that say yes as say no, whatever came first", async () => {
    const kind = { task: "existence", errorType: "negation" } as const;
    const numbers = Array.from({ length: 60 }, (_, i) => i);
    await storeSources(numbers.map((i) => ({ ...kind, id: `s${i}`, polarity: i < 50 ? "yes" : "no" })));
    await storePairs(numbers.map((i) => ({ ...kind, source: `s${i}`, createdAt: i })));
    await setPolicy({ training: { maxPairs: 24 } });
    const round = await claimRound(key, "t");
    const said = await rows<{ polarity: string; n: number }>(
      "SELECT polarity, count(*) AS n FROM pairs WHERE round_id = ?1 GROUP BY polarity",
      round.id,
    );
    const { yes = 0, no = 0 } = Object.fromEntries(said.map(({ polarity, n }) => [polarity, n]));
    expect(no).toBe(10);
    expect(yes).toBeGreaterThanOrEqual(10);
    expect(yes - no).toBeLessThanOrEqual(POLARITY_SLACK_PAIRS);
  });

  test("finds the few pairs that are ready behind a backlog that other trainers hold", async () => {
    await setPolicy({ training: { minPairs: 100, maxPairs: 150 } });
    await storeReady("held", 300);
    for (const trainer of ["a", "b"]) expect((await claimRound(key, trainer)).batch.pairs).toBe(150);
    const kind = { task: "colour", errorType: "attribute" } as const;
    const numbers = Array.from({ length: 120 }, (_, i) => i);
    await storeSources(numbers.map((i) => ({ ...kind, id: `s${i}` })));
    await storePairs(numbers.map((i) => ({ ...kind, source: `s${i}` })));
    expect((await claimRound(key, "c")).batch.pairs).toBe(120);
  });

  test("leaves out what is not ready: quarantined, parked, rejected and expired pairs, and those trained often enough", async () => {
    await storeReady("s", 8);
    for (const [i, state] of ["quarantined", "parked", "rejected", "expired"].entries()) {
      await env.DB.prepare("UPDATE pairs SET state = ?2 WHERE id = ?1").bind(`s-${i}-count-near-3`, state).run();
    }
    await env.DB.prepare("UPDATE pairs SET state = 'trained', trainings = 3 WHERE id = 's-4-count-near-3'").run();
    const lines = await allLines<PairLine>(key, await claimRound(key, "t"), "pairs");
    expect(lines.map(({ group }) => group)).toEqual(["s-5", "s-6", "s-7"]);
  });
});

describe("held-out images", () => {
  /** Everything that intake, scheduler and editor do between a report and a pair. */
  async function turn(events: readonly unknown[], slot: string): Promise<void> {
    const { key: reporter } = await createKey(["ingest"], { client: "reporter", reportCap: 1_000 });
    const results = await postEvents(reporter, events);
    expect(results.every(({ status }) => status === "stored")).toBe(true);
    const queue = new RecordingQueue();
    await runTick({ ...env, EDIT_QUEUE: queue.asBinding() }, { slot, now: Date.now() });
    const messages = queue.sent.map((body, i) => ({ id: `m${i}`, timestamp: new Date(), attempts: 1, body }));
    await onEditMessages(createMessageBatch("nearmiss-edits", messages), { DB: env.DB });
  }

  test("are never in a pair at all, though an edit was ordered: batches need not look", async () => {
    const [held, train] = [imageOf(7, "gate"), imageOf(8)];
    await storeSources([
      { id: "good", images: [train] },
      { id: "judged", images: [held] },
      { id: "mixed", images: [train, held] },
    ]);
    const jobs = await storeJobs(["good", "judged", "mixed"].map((source) => ({ source })));
    const message = { id: "m", timestamp: new Date(), attempts: 1, body: { jobs } };
    await setPolicy({ pairs: { sentinelShare: 0 } });
    await onEditMessages(createMessageBatch("nearmiss-edits", [message]), { DB: env.DB });
    expect(await rows("SELECT source_id FROM pairs")).toEqual([{ source_id: "good" }]);
  });

  test("are never in a leased pair, whatever images prompts combine, and never missing from the judging side", async () => {
    const images = Array.from({ length: 40 }, (_, i) => imageOf(i + 1, i % 5 === 0 ? "gate" : "train"));
    const prompts = fc.array(fc.array(fc.constantFrom(...images), { maxLength: 3 }), { minLength: 12, maxLength: 25 });
    let leasedPairs = 0;
    await fc.assert(
      fc
        .asyncProperty(prompts, async (combinations) => {
          await storeImages(images);
          const events = combinations.map((combination, i) =>
            testEvent(`event-${i}`, {
              conversation: prompt(`How many dogs are there, ${i}?`, ...combination),
              response: i % 2 === 0 ? "There are three dogs." : "There are two dogs.",
            }),
          );
          await turn(events, "slot");
          const { round } = await claim(key, "t");
          if (!round) return;
          const lines = await allLines<PairLine>(key, round, "pairs");
          leasedPairs += lines.length;
          for (const { conversation } of lines) {
            for (const hash of imagesOf(conversation)) expect(splitOfImage(hash)).toBe("train");
          }
          for (const { conversation } of await allLines<GateLine>(key, round, "gate")) {
            const sides = imagesOf(conversation).map(splitOfImage);
            expect(sides.length).toBeGreaterThan(0);
            expect(new Set(sides)).toEqual(new Set(["gate"]));
          }
        })
        .beforeEach(async () => {
          await emptyLoop();
          await setPolicy({ training: { minPairs: 1, maxPairs: 200, regionCapShare: 1 }, batch: { startPairs: 1 } });
        }),
      { numRuns: 12 },
    );
    expect(leasedPairs).toBeGreaterThan(20);
  });
});

describe("the gate list", () => {
  async function storeGate(id: string, task: "counting" | "colour", fields: object = {}): Promise<void> {
    const number = Number(id.replace(/\D/g, ""));
    const errorType = task === "counting" ? "count-near" : "attribute";
    await storeSource({ id, task, errorType, images: [imageOf(number + 1000, "gate")], createdAt: number, ...fields });
  }

  test("takes the tasks in turn, the newest first, each question once, only held-out and complete ones", async () => {
    await storeReady("s", 2);
    await setPolicy({ gate: { maxItems: 5 } });
    for (const id of ["c1", "c2", "c3", "c4", "c5", "c6"]) await storeGate(id, "counting");
    for (const id of ["k1", "k2"]) await storeGate(id, "colour");
    await storeGate("c9", "counting", { images: [imageOf(1006, "gate")] }); // c6 asked again
    await storeGate("c11", "counting", { uploaded: false });
    await storeGate("c12", "counting", { images: [imageOf(1, "gate"), imageOf(1, "train")] });
    const round = await claimRound(key, "t");
    const lines = await allLines<GateLine>(key, round, "gate", 2);
    expect(lines.map(({ id }) => id)).toEqual(["k2", "c9", "k1", "c5", "c4"]);
    expect(lines[1]).toMatchObject({
      task: "counting",
      region: "counting/count-near/en/image",
      answer: "There are two dogs.",
    });
  });

  test("stays the same while the round lives, whatever is reported meanwhile", async () => {
    await storeReady("s", 2);
    for (const id of ["c1", "c2"]) await storeGate(id, "counting");
    const round = await claimRound(key, "t");
    const before = await allLines<GateLine>(key, round, "gate");
    await storeGate("c3", "counting", { createdAt: Date.now() + 1_000 });
    expect(await allLines<GateLine>(key, round, "gate")).toEqual(before);
    const error = await expectError(await onRound(key, round, "GET", "gate?after=c3"), 400);
    expect(error.details?.map(({ path }) => path)).toEqual(["after"]);
  });
});

describe("reports", () => {
  test("twice, in two chunks, or at once: each pair is stored once, and the first report stands", async () => {
    const [a = "", b = "", c = ""] = await storeReady("s", 3);
    const round = await claimRound(key, "t");
    const reports = [scored(a), { pairId: b, refused: "too long" }, scored("stranger")];
    const send = async (json: unknown) => expectJson(await onRound(key, round, "POST", "reports", { reports: json }));
    expect(await send(reports)).toEqual({ stored: 2, duplicate: 0, unknown: ["stranger"], erased: 0 });
    expect(await send(reports)).toEqual({ stored: 0, duplicate: 2, unknown: ["stranger"], erased: 0 });
    const other = [scored(a, { chosenBefore: -99 }), scored(b), { pairId: a, refused: "no" }];
    expect(await send(other)).toEqual({ stored: 0, duplicate: 3, unknown: [], erased: 0 });
    expect(await send([scored(c), scored(c, { chosenBefore: -1 })])).toEqual({
      stored: 1,
      duplicate: 1,
      unknown: [],
      erased: 0,
    });
    const [row] = await rows<{ chosen_before: number }>("SELECT chosen_before FROM pair_scores WHERE pair_id = ?1", a);
    expect(row?.chosen_before).toBe(-10);
    expect(await rows("SELECT pair_id, reason FROM pair_refusals")).toEqual([{ pair_id: b, reason: "too long" }]);
    expect(await rows("SELECT pair_id FROM pair_scores ORDER BY pair_id")).toEqual([{ pair_id: a }, { pair_id: c }]);
  });

  test("pairs of another round are unknown to this one", async () => {
    await setPolicy({ training: { maxPairs: 2 } });
    await storeReady("s", 4);
    const [one, other] = [await claimRound(key, "one"), await claimRound(key, "other")];
    const theirs = await allLines<PairLine>(key, other, "pairs");
    const reports = theirs.map(({ id }) => scored(id));
    const answer = await expectJson(await onRound(key, one, "POST", "reports", { reports }));
    expect(answer).toEqual({ stored: 0, duplicate: 0, unknown: theirs.map(({ id }) => id), erased: 0 });
    expect(await rows("SELECT * FROM pair_scores")).toEqual([]);
  });
});

describe("complete", () => {
  test("a promotion trains the scored pairs, quarantines the refused, frees the rest, and moves the champion", async () => {
    const [a = "", b = "", c = "", d = ""] = await storeReady("s", 4);
    const round = await claimRound(key, "t");
    const reports = [scored(a), scored(b, { rejectedBefore: -9 }), { pairId: c, refused: "too long" }];
    await expectJson(await onRound(key, round, "POST", "reports", { reports }));
    const adapter = await uploadAdapter(key, "one");
    const json = { adapter, manifest: manifestOf(round), gate: gateOf("promoted"), metrics: { loss: 0.5 } };
    expect(await expectJson(await complete(round, json))).toEqual({ verdict: "promoted", champion: adapter });

    const pairs = await rows<{ id: string }>("SELECT id, state, trainings FROM pairs ORDER BY id");
    expect(pairs).toEqual([
      { id: a, state: "trained", trainings: 1 },
      { id: b, state: "trained", trainings: 1 },
      { id: c, state: "quarantined", trainings: 0 },
      { id: d, state: "ready", trainings: 0 },
    ]);
    expect(await region()).toMatchObject({ backlog: 1, scored: 2, chosen_log_ratio: expect.closeTo(0.6, 9) });
    expect(await rows("SELECT state, verdict, adapter FROM rounds")).toEqual([
      { state: "completed", verdict: "promoted", adapter },
    ]);
    expect(await rows("SELECT state, round_id FROM adapters")).toEqual([{ state: "champion", round_id: round.id }]);
    const [audit] = await rows<{ action: string; details: string }>(
      "SELECT action, details FROM audit_log WHERE action <> 'key.create'",
    );
    expect(audit?.action).toBe("adapter.promoted");
    expect(JSON.parse(audit?.details ?? "")).toEqual({ round: round.id, previous: null });
  });

  test("the same request again, or five at once, gets the same answer and counts once", async () => {
    const ids = await storeReady("s", 6);
    const round = await claimRound(key, "t");
    await expectJson(await onRound(key, round, "POST", "reports", { reports: ids.map((id) => scored(id)) }));
    const adapter = await uploadAdapter(key, "one");
    const json = { adapter, manifest: manifestOf(round), gate: gateOf("promoted"), metrics: { loss: 0.5 } };
    const answers = await Promise.all(Array.from({ length: 5 }, async () => expectJson(await complete(round, json))));
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify({ verdict: "promoted", champion: adapter })]),
    );
    const before = await everything();
    expect(await expectJson(await complete(round, json))).toEqual({ verdict: "promoted", champion: adapter });
    await expectError(await complete(round, { ...json, metrics: { loss: 0.4 } }), 409);
    expect(await everything()).toEqual(before);
    expect(await region()).toMatchObject({ backlog: 0, scored: 6 });
    expect(await rows("SELECT DISTINCT trainings FROM pairs")).toEqual([{ trainings: 1 }]);
    expect(await rows("SELECT action FROM audit_log WHERE action <> 'key.create'")).toEqual([
      { action: "adapter.promoted" },
    ]);
  });

  test.each(["rejected", "inconclusive"] as const)(
    "%s: the pairs are ready again, untrained, and the champion stays",
    async (verdict) => {
      const ids = await storeReady("s", 3);
      const round = await claimRound(key, "t");
      await expectJson(await onRound(key, round, "POST", "reports", { reports: ids.map((id) => scored(id)) }));
      const json = { adapter: null, manifest: null, gate: gateOf(verdict), metrics: {} };
      expect(await expectJson(await complete(round, json))).toEqual({ verdict, champion: null });
      expect(await rows("SELECT DISTINCT state, trainings FROM pairs")).toEqual([{ state: "ready", trainings: 0 }]);
      expect(await region()).toMatchObject({ backlog: 3, scored: 3 });
      expect((await claimRound(key, "t")).batch).toEqual(round.batch);
    },
  );

  test("what a model was measured on before tells nothing new, until it is another model", async () => {
    const ids = await storeReady("s", 3);
    const rounds = [await claimRound(key, "t")];
    const report = async (round = rounds[0]) => {
      if (!round) return;
      await expectJson(await onRound(key, round, "POST", "reports", { reports: ids.map((id) => scored(id)) }));
      const json = { adapter: null, manifest: null, gate: gateOf("rejected"), metrics: {} };
      await expectJson(await complete(round, json));
    };
    await report();
    const once = await region();
    await report(await claimRound(key, "t"));
    const twice = await region();
    expect(twice).toMatchObject({ scored: 3, ability_mean: once.ability_mean });
    expect(twice.ability_var).toBeGreaterThan(once.ability_var); // a round passed: we know less, not more
  });

  test("of two rounds on one champion the later promotion is turned down, and says why", async () => {
    await setPolicy({ training: { maxPairs: 3 } });
    await storeReady("s", 6);
    const [one, other] = [await claimRound(key, "one"), await claimRound(key, "other")];
    const winner = await promote(key, one, "one");
    await expectJson(winner.response);
    const loser = await promote(key, other, "other");
    expect(await expectJson(loser.response)).toEqual({ verdict: "rejected", champion: winner.adapter });
    const [row] = await rows<{ verdict: string; gate: string }>(
      "SELECT verdict, gate FROM rounds WHERE id = ?1",
      other.id,
    );
    expect(row?.verdict).toBe("rejected");
    expect(JSON.parse(row?.gate ?? "").reasons[0]).toContain(`the champion became ${winner.adapter}`);
    expect(await rows("SELECT DISTINCT state, trainings FROM pairs WHERE round_id = ?1", other.id)).toEqual([
      { state: "ready", trainings: 0 },
    ]);
    expect(await rows("SELECT state FROM adapters WHERE sha256 = ?1", loser.adapter)).toEqual([{ state: "rejected" }]);
  });

  test("eight promotions at once: one wins, and every round's pairs are where its verdict says", async () => {
    await setPolicy({ training: { maxPairs: 2 } });
    await storeReady("s", 16);
    const rounds: Awaited<ReturnType<typeof claimRound>>[] = [];
    for (let i = 0; i < 8; i++) rounds.push(await claimRound(key, `t${i}`));
    const answers = await Promise.all(
      rounds.map(async (round, i) => {
        const { response } = await promote(key, round, `a${i}`);
        return response.status === 503 ? null : expectJson<{ verdict: string }>(response);
      }),
    );
    expect(answers.filter((answer) => answer?.verdict === "promoted")).toHaveLength(1);
    const wrong = await rows(
      `SELECT p.id FROM pairs p JOIN rounds r ON r.id = p.round_id
       WHERE r.state = 'completed' AND p.state <> CASE r.verdict WHEN 'promoted' THEN 'trained' ELSE 'ready' END`,
    );
    expect(wrong).toEqual([]);
    const [done] = await rows<{ n: number }>("SELECT count(*) AS n FROM rounds WHERE state = 'completed'");
    expect((await region()).scored).toBe(2 * (done?.n ?? 0));
    expect((await region()).backlog).toBe(14);
  });

  describe("what comes between reading and writing", () => {
    const actor = { kind: "system", scopes: ["train"] } as const;
    const completing = "UPDATE rounds SET state = 'completed'";

    async function reported() {
      const ids = await storeReady("s", 4);
      const round = await claimRound(key, "t");
      await expectJson(await onRound(key, round, "POST", "reports", { reports: ids.map((id) => scored(id)) }));
      const adapter = await uploadAdapter(key, "mine");
      const holder = { roundId: round.id, leaseId: round.lease.id, fence: round.lease.fence };
      return { round, adapter, holder, manifest: manifestOf(round) };
    }

    test("another champion: the promotion is turned down", async () => {
      const { adapter, holder, manifest } = await reported();
      const other = await uploadAdapter(key, "other");
      const db = interrupted(completing, () =>
        env.DB.prepare("UPDATE pointers SET adapter = ?1, updated_at = 5 WHERE name = 'champion'").bind(other).run(),
      );
      const request = { adapter, manifest, gate: gateOf("promoted"), metrics: {} };
      const completed = await completeRound({ DB: db }, actor, holder, request, Date.now());
      expect(completed).toEqual({ verdict: "rejected", champion: other });
      expect(await rows("SELECT DISTINCT state, trainings FROM pairs")).toEqual([{ state: "ready", trainings: 0 }]);
    });

    test("another round's measurements: this one learns on top of them", async () => {
      const { holder } = await reported();
      const db = interrupted(completing, () =>
        env.DB.batch([
          env.DB.prepare("UPDATE regions SET scored = 50, ability_mean = 3, ability_var = 0.05"),
          env.DB.prepare(
            `INSERT INTO rounds (id, trainer, state, created_at, policy_version, pairs, batch_sha256)
             SELECT 'another', 'another', 'completed', 0, policy_version, 0, '' FROM rounds`,
          ),
        ]),
      );
      const request = { adapter: null, manifest: null, gate: gateOf("rejected"), metrics: {} };
      await completeRound({ DB: db }, actor, holder, request, Date.now());
      const learnt = await region();
      expect(learnt.scored).toBe(54);
      expect(learnt.ability_mean).toBeGreaterThan(2.5);
    });

    test("the editor's results: none of them is forgotten", async () => {
      const { holder } = await reported();
      await env.DB.prepare("UPDATE region_levels SET attempted = 10, refused = 5 WHERE level = 3").run();
      const db = interrupted(completing, () =>
        env.DB.prepare(
          "UPDATE region_levels SET attempted = attempted + 4, refused = refused + 1 WHERE level = 3",
        ).run(),
      );
      const request = { adapter: null, manifest: null, gate: gateOf("rejected"), metrics: {} };
      await completeRound({ DB: db }, actor, holder, request, Date.now());
      expect(await rows("SELECT attempted, refused FROM region_levels WHERE level = 3")).toEqual([
        { attempted: 13, refused: 5.5 },
      ]);
    });

    test("the end of the lease: nothing changes, and the holder is late", async () => {
      const { round, adapter, holder, manifest } = await reported();
      const db = interrupted(completing, () => claimRound(key, "t"));
      const request = { adapter, manifest, gate: gateOf("promoted"), metrics: {} };
      await expect(completeRound({ DB: db }, actor, holder, request, Date.now())).rejects.toMatchObject({
        code: "conflict",
      });
      expect(await rows("SELECT DISTINCT state FROM pairs")).toEqual([{ state: "leased" }]);
      expect(await rows("SELECT state FROM rounds WHERE id = ?1", round.id)).toEqual([{ state: "claimed" }]);
    });
  });

  describe("a promotion that its own numbers do not allow is refused with 422, naming the field, and changes nothing", () => {
    const all = gateOf("promoted").all;
    const cases: [string, string[], (adapter: string, manifest: ReturnType<typeof manifestOf>) => object][] = [
      ["no adapter", ["adapter"], () => ({ adapter: null, manifest: null })],
      ["an adapter nobody uploaded", ["adapter"], () => ({ adapter: "d".repeat(64) })],
      ["no manifest", ["manifest"], () => ({ manifest: null })],
      ["another parent", ["manifest.parent"], (_, manifest) => ({ manifest: { ...manifest, parent: "e".repeat(64) } })],
      ["another lease", ["manifest.lease"], (_, manifest) => ({ manifest: { ...manifest, lease: "x" } })],
      [
        "another batch",
        ["manifest.batchSha256"],
        (_, manifest) => ({ manifest: { ...manifest, batchSha256: "e".repeat(64) } }),
      ],
      ["no gain", ["gate.all.lower"], () => ({ gate: gateOf("promoted", { all: { ...all, lower: 0 } }) })],
      ["no bound", ["gate.all.lower"], () => ({ gate: gateOf("promoted", { all: { ...all, lower: null } }) })],
      ["too few items", ["gate.all.n"], () => ({ gate: gateOf("promoted", { all: { ...all, n: 99 } }) })],
      [
        "a fallen slice",
        ["gate.slices"],
        () => ({ gate: gateOf("promoted", { slices: [{ ...all, name: "ocr", guard: "fell" }] }) }),
      ],
      ["an alarm", ["gate.alarms"], () => ({ gate: gateOf("promoted", { alarms: ["yes-rate"] }) })],
    ];
    test.each(cases)("%s", async (_, paths, change) => {
      await storeReady("s", 2);
      const round = await claimRound(key, "t");
      const adapter = await uploadAdapter(key, "one");
      const manifest = manifestOf(round);
      const json = { adapter, manifest, gate: gateOf("promoted"), metrics: {}, ...change(adapter, manifest) };
      const before = await everything();
      const error = await expectError(await complete(round, json), 422);
      expect(error.details?.map(({ path }) => path)).toEqual(paths);
      expect(await everything()).toEqual(before);
    });
  });

  test("the champion's bytes cannot be promoted again", async () => {
    await setPolicy({ training: { maxPairs: 2 } });
    await storeReady("s", 4);
    await promote(key, await claimRound(key, "one"), "same");
    const { response } = await promote(key, await claimRound(key, "other"), "same");
    expect((await expectError(response, 422)).details?.map(({ path }) => path)).toEqual(["adapter"]);
  });

  test("an adapter that was rejected may come again from the same batch, and be promoted then", async () => {
    await storeReady("s", 2);
    const first = await claimRound(key, "t");
    const adapter = await uploadAdapter(key, "same");
    const rejected = { adapter, manifest: manifestOf(first), gate: gateOf("rejected"), metrics: {} };
    await expectJson(await complete(first, rejected));
    const second = await claimRound(key, "t");
    expect(second.batch).toEqual(first.batch);
    const { response } = await promote(key, second, "same");
    expect(await expectJson(response)).toEqual({ verdict: "promoted", champion: adapter });
    expect(await rows("SELECT state, round_id FROM adapters")).toEqual([{ state: "champion", round_id: second.id }]);
  });

  test("nothing is left to claim when everything is trained", async () => {
    await storeReady("s", 4);
    await promote(key, await claimRound(key, "t"), "one");
    expect(await claim(key, "t")).toEqual({ round: null, reason: "No pair is ready." });
    const [row] = await rows<{ n: number }>("SELECT count(*) AS n FROM leases WHERE state = 'live'");
    expect(row?.n).toBe(0);
    expect(
      await env.DB.prepare("SELECT adapter FROM pointers WHERE name = 'champion'").first("adapter"),
    ).not.toBeNull();
  });
});
