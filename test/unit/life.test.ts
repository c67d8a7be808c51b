import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PAIR_STATES, type PairState } from "../../shared/contracts/operator.ts";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { flipPosterior } from "../../shared/hardness/flip.ts";
import { afterScorings, boundRechecks, type PairLife, type PairRegion } from "../../shared/hardness/life.ts";

const { pairs: PAIRS, training: TRAINING } = DEFAULT_POLICY;
const NEW: PairLife = {
  state: "ready",
  trainings: 0,
  highStreak: 0,
  lowStreak: 0,
  gap: null,
  gapModel: null,
  cleared: false,
};
const ABLE: PairRegion = { predicted: 0.9, gapMean: 4, gapSquare: 25 };
const WEAK: PairRegion = { predicted: 0.1, gapMean: -3, gapSquare: 18 };

/** Scorings under models m1, m2, .. */
function under(...gaps: readonly number[]) {
  return gaps.map((gap, index) => ({ model: `m${index + 1}`, gap }));
}
function judge(pair: Partial<PairLife>, gaps: readonly number[], region = ABLE) {
  return afterScorings({ ...NEW, ...pair }, under(...gaps), region, DEFAULT_POLICY);
}

const nats = fc.double({ min: -30, max: 30, noNaN: true });
const pair = fc.record({
  state: fc.constantFrom(...PAIR_STATES),
  trainings: fc.nat(5),
  highStreak: fc.nat(3),
  lowStreak: fc.nat(3),
  gap: fc.option(nats),
  gapModel: fc.option(fc.constantFrom("base", "m1")),
  cleared: fc.boolean(),
});
const scorings = fc.array(fc.record({ model: fc.constantFrom("base", "m1", "m2", "m3"), gap: nats }), { maxLength: 4 });
const region = fc.record({
  predicted: fc.double({ min: 0, max: 1, noNaN: true }),
  gapMean: nats,
  gapSquare: fc.double({ min: 0, max: 900, noNaN: true }),
});

describe("a pair's life", () => {
  test("goes along these ways only, and gives a reason for each step", () => {
    const ways: Partial<Record<PairState, readonly PairState[]>> = {
      ready: ["trained", "saturated", "quarantined", "parked"],
      trained: ["saturated", "quarantined", "parked"],
      saturated: ["trained", "quarantined"],
    };
    fc.assert(
      fc.property(pair, scorings, region, (before, seen, where) => {
        const { pair: after, move, doubt } = afterScorings(before, seen, where, DEFAULT_POLICY);
        expect(after.state).toBe(move?.state ?? before.state);
        expect(doubt !== null).toBe(move?.state === "quarantined");
        if (!move) return;
        expect(ways[before.state]).toContain(move.state);
        expect(move.reason).toMatch(/\d/);
      }),
      { numRuns: 1_000 },
    );
  });

  test("no scoring changes how often it was trained, and a scoring under the same model again changes nothing", () => {
    fc.assert(
      fc.property(pair, scorings, region, nats, (before, seen, where, gap) => {
        const once = afterScorings(before, seen, where, DEFAULT_POLICY);
        const last = seen.at(-1);
        const twice = afterScorings(before, last ? [...seen, { ...last, gap }] : seen, where, DEFAULT_POLICY);
        expect(twice).toEqual(once);
        expect(once.pair.trainings).toBe(before.trainings);
      }),
    );
  });

  test("is mastered by high gaps in a row under different models, once it was trained on", () => {
    expect(judge({ trainings: 1 }, [3, 3]).move).toMatchObject({ state: "saturated" });
    expect(judge({ trainings: 1 }, [3, 1]).move).toMatchObject({ state: "trained" });
    expect(judge({ trainings: 1 }, [1, 3]).move).toMatchObject({ state: "trained" });
    expect(judge({}, [3, 3]).move).toBeNull();
    fc.assert(
      fc.property(pair, scorings, region, (before, seen, where) => {
        const { pair: after, move } = afterScorings(before, seen, where, DEFAULT_POLICY);
        if (move?.state !== "saturated") return;
        expect(after.highStreak).toBeGreaterThanOrEqual(PAIRS.scoringsInRow);
        expect(after.trainings).toBeGreaterThan(0);
      }),
    );
  });

  test("comes back when it is forgotten", () => {
    const mastered = { state: "saturated", trainings: 2, highStreak: 2 } as const;
    expect(judge(mastered, [5]).move).toBeNull();
    const forgotten = judge(mastered, [PAIRS.saturatedGap]);
    expect(forgotten.move).toMatchObject({ state: "trained" });
    expect(forgotten.move?.reason).toContain("forgotten");
    expect(forgotten.pair.highStreak).toBe(0);
  });

  test("is put aside only where nothing helps: trained as often as it may be, wrong, in a region that is hardly ever right", () => {
    const worn = { state: "trained", trainings: TRAINING.maxTrainings } as const;
    expect(judge(worn, [-2], WEAK).move).toMatchObject({ state: "parked" });
    expect(judge(worn, [0.5], WEAK).move).toBeNull();
    expect(judge(worn, [-2], { ...WEAK, predicted: 0.5 }).move).toBeNull();
    expect(judge({ ...worn, trainings: TRAINING.maxTrainings - 1 }, [-2], WEAK).move).toBeNull();
  });

  test("returns to its queue when it was scored and not trained on", () => {
    expect(judge({}, [0.3]).move).toBeNull();
    expect(judge({ trainings: 1 }, [0.3]).move).toMatchObject({ state: "trained" });
  });
});

describe("a doubt", () => {
  test("needs low gaps in a row, an able region and a probable flip", () => {
    const doubted = judge({ trainings: 1 }, [-5, -4]);
    expect(doubted.move).toMatchObject({ state: "quarantined" });
    expect(doubted.doubt?.posterior).toBeGreaterThan(PAIRS.flipPosterior);
    expect(doubted.doubt?.otherwise.move).toMatchObject({ state: "trained" });
    expect(judge({ trainings: 1 }, [5, -5]).doubt).toBeNull();
    expect(judge({ trainings: 1 }, [-5, -5], { ...ABLE, predicted: 0.6 }).doubt).toBeNull();
    expect(judge({ trainings: 1 }, [-5, -5], { ...ABLE, gapMean: 0 }).doubt).toBeNull();
  });

  test("is not raised again about a pair that was found valid", () => {
    expect(judge({ trainings: 1, cleared: true }, [-9, -9]).doubt).toBeNull();
  });

  test("never ends a pair, however low its gap", () => {
    fc.assert(
      fc.property(pair, scorings, region, (before, seen, where) => {
        const { move } = afterScorings(before, seen, where, DEFAULT_POLICY);
        expect(["rejected", "expired"]).not.toContain(move?.state);
        if (where.predicted <= PAIRS.quarantineAbove) expect(move?.state).not.toBe("quarantined");
      }),
    );
  });

  test("is followed up for the most probable flips, within the share that may be checked again", () => {
    const low = fc.double({ min: -12, max: -1, noNaN: true });
    const doubtful = fc.tuple(low, low).map((gaps) => [{ ...NEW, trainings: 1 }, under(...gaps), ABLE] as const);
    const judged = fc.array(fc.oneof(fc.tuple(pair, scorings, region), doubtful), { maxLength: 40 });
    const policy = fc.record({ recheckShareMax: fc.double({ min: 0, max: 1, noNaN: true }) });
    fc.assert(
      fc.property(judged, policy, (pairs, bound) => {
        const before = pairs.map(([one, seen, where], index) => ({
          ...afterScorings({ ...one, cleared: false }, seen, where, DEFAULT_POLICY),
          id: `p${index}`,
        }));
        const after = boundRechecks(before, bound);
        const kept = after.filter(({ doubt }) => doubt !== null);
        const candidates = before.filter(({ doubt }) => doubt !== null);
        expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
        expect(kept.length).toBe(Math.min(candidates.length, Math.ceil(bound.recheckShareMax * pairs.length)));
        const least = Math.min(...kept.map(({ doubt }) => doubt?.posterior ?? 0));
        for (const [index, { doubt, move, pair: now }] of after.entries()) {
          const was = before[index];
          if (doubt) continue;
          expect(move?.state).not.toBe("quarantined");
          if (was?.doubt) {
            expect(was.doubt.posterior).toBeLessThanOrEqual(least);
            expect(now).toEqual(was.doubt.otherwise.pair);
          }
        }
      }),
    );
  });

  test("that nobody may look at leaves the streak, so that it is raised again at the next scoring", () => {
    const [spared] = boundRechecks([{ ...judge({ trainings: 1 }, [-5, -4]), id: "p" }], { recheckShareMax: 0 });
    expect(spared).toMatchObject({ move: { state: "trained" }, pair: { state: "trained", lowStreak: 2 } });
    const again = afterScorings(spared?.pair ?? NEW, [{ model: "m3", gap: -4 }], ABLE, DEFAULT_POLICY);
    expect(again.move).toMatchObject({ state: "quarantined" });
  });
});

describe("the probability of swapped answers", () => {
  const MOMENTS = { gapMean: 2, gapSquare: 6 };

  test("is the prior at a gap of zero, one half where evidence and prior cancel, and falls as the gap rises", () => {
    expect(flipPosterior(0, MOMENTS, 0.04)).toBeCloseTo(0.04, 12);
    expect(flipPosterior(-Math.log(24) / 2, MOMENTS, 0.04)).toBeCloseTo(0.5, 12);
    fc.assert(
      fc.property(nats, nats, (a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        expect(flipPosterior(low, MOMENTS, 0.04)).toBeGreaterThanOrEqual(flipPosterior(high, MOMENTS, 0.04));
      }),
    );
  });

  test("is the share of flips among gaps so low, as Bayes' rule counts them", () => {
    const density = (gap: number, mean: number) => Math.exp(-((gap - mean) ** 2) / (2 * 2));
    const [flipped, right] = [0.04 * density(-1.5, -2), 0.96 * density(-1.5, 2)];
    expect(flipPosterior(-1.5, MOMENTS, 0.04)).toBeCloseTo(flipped / (flipped + right), 12);
  });

  test("stays a probability, and the prior where the region tells nothing", () => {
    fc.assert(
      fc.property(nats, region, fc.double({ min: 0, max: 1, noNaN: true }), (gap, moments, prior) => {
        const posterior = flipPosterior(gap, moments, prior);
        expect(posterior).toBeGreaterThanOrEqual(0);
        expect(posterior).toBeLessThanOrEqual(1);
        if (moments.gapMean <= 0 || moments.gapSquare <= moments.gapMean ** 2) expect(posterior).toBe(prior);
      }),
      { examples: [[-1e-120, { predicted: 0, gapMean: 1e-197, gapSquare: 5e-324 }, 5e-324]] },
    );
  });
});
