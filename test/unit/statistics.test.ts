import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { ROUND_DRIFT } from "../../shared/hardness/ability.ts";
import { readRoundWatch } from "../../shared/hardness/alarms.ts";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";
import {
  afterRound,
  endOfTick,
  type Measured,
  type PairScore,
  prefersChosen,
} from "../../shared/hardness/statistics.ts";
import { LEVELS, regionKey } from "../../shared/taxonomy/taxonomy.ts";

describe("statistics", () => {
  test("a tick counts the new reports in, then fades all by the policy's decay", () => {
    const counts = { failures: 10, exposures: 40, failureMass: 2, newFailures: 5, newExposures: 20 };
    const after = endOfTick(counts, { decay: 0.8 });
    expect(after.failures).toBeCloseTo(12, 12);
    expect(after.exposures).toBeCloseTo(48, 12);
    expect(after.failureMass).toBeCloseTo(0.8 * 2 + 0.2 * 5.3, 12);
  });

  test("a quiet region keeps some mass for ever", () => {
    let counts = { failures: 9, exposures: 9, failureMass: 9, newFailures: 0, newExposures: 0 };
    for (let tick = 0; tick < 200; tick++) counts = { ...counts, ...endOfTick(counts, DEFAULT_POLICY.scheduler) };
    expect(counts.failureMass).toBeCloseTo(0.3, 6);
  });
});

describe("a round", () => {
  const at = (task: "counting" | "colour") =>
    ({ task, errorType: "attribute", language: "en", modality: "image" }) as const;
  const none = { attempted: 10, refused: 5 };
  const measured = (task: "counting" | "colour", more: Partial<Measured> = {}): Measured => ({
    key: regionKey(at(task)),
    errorType: "attribute",
    abilityMean: 0,
    abilityVar: 1,
    chosenLogRatio: 0,
    scored: 7,
    levels: [none, none, none, none],
    stairLevel: 2,
    offered: LEVELS,
    gapMean: 0,
    gapSquare: 0,
    roundWatch: readRoundWatch("{}"),
    ...more,
  });
  const round = (scores: readonly PairScore[], region = measured("counting")) =>
    afterRound([region], {}, scores, DEFAULT_POLICY).regions[0];
  const score = (right: boolean, more: Partial<PairScore> = {}): PairScore => ({
    region: regionKey(at("counting")),
    level: 2,
    fresh: true,
    chosenBefore: right ? -4 : -8,
    rejectedBefore: -6,
    chosenAfter: -3,
    chosenTokens: 6,
    rejectedTokens: 6,
    ...more,
  });
  const many = (right: number, wrong: number, more: Partial<PairScore> = {}) => [
    ...Array.from({ length: right }, () => score(true, more)),
    ...Array.from({ length: wrong }, () => score(false, more)),
  ];

  test("prefers by the log-probability of a token, so that length decides nothing", () => {
    expect(
      prefersChosen(score(true, { chosenBefore: -10, chosenTokens: 20, rejectedBefore: -6, rejectedTokens: 6 })),
    ).toBe(true);
    expect(
      prefersChosen(score(true, { chosenBefore: -6, chosenTokens: 6, rejectedBefore: -10, rejectedTokens: 20 })),
    ).toBe(false);
  });

  test("teaches ability and difficulty by fresh pairs alone", () => {
    const able = round(many(45, 5));
    const unable = afterRound([measured("counting")], {}, many(5, 45), DEFAULT_POLICY);
    expect(able?.abilityMean).toBeGreaterThan(1);
    expect(able).toMatchObject({ scored: 57 });
    expect(able?.abilityVar).toBeLessThan(0.2);
    expect(unable.regions[0]?.abilityMean).toBeLessThan(-1);
    expect(unable.difficulties.attribute?.[1]).toBeGreaterThan(START_DIFFICULTY[1]);

    const stale = afterRound([measured("counting")], {}, many(45, 5, { fresh: false }), DEFAULT_POLICY);
    expect(stale.regions[0]).toMatchObject({ abilityMean: 0, scored: 7, gapMean: 0, gapSquare: 0, stairLevel: 2 });
    expect(stale.regions[0]?.roundWatch).toEqual(readRoundWatch("{}"));
    expect(stale.difficulties).toEqual({});
  });

  test("lets every region drift and its edit counts fade, measured or not", () => {
    const [colour] = afterRound([measured("colour")], {}, many(3, 3), DEFAULT_POLICY).regions;
    expect(colour).toMatchObject({
      abilityMean: 0,
      scored: 7,
      chosenLogRatio: 0,
      levels: { 0: { attempted: 9, refused: 4.5 } },
    });
    expect(colour?.abilityVar).toBeCloseTo(1 + ROUND_DRIFT, 12);
  });

  test("notices that the chosen answers lose probability", () => {
    expect(round(many(9, 1, { chosenAfter: -12 }))?.chosenLogRatio).toBeLessThan(-2);
  });

  test("knows how a region's fresh gaps are spread, and forgets the oldest", () => {
    const first = round(many(30, 10));
    expect(first).toMatchObject({ gapMean: (30 * 2 - 10 * 2) / 40, gapSquare: 4 });
    const shifted = many(200, 0, { chosenBefore: -1 });
    const again = round(shifted, measured("counting", { scored: 1_000, gapMean: 1, gapSquare: 4 }));
    expect(again?.gapMean).toBeCloseTo((1 + 5) / 2, 12);
    expect(again?.gapSquare).toBeCloseTo((4 + 25) / 2, 12);
  });

  test("moves the staircase by the pairs of its own step", () => {
    expect(round(many(9, 1))?.stairLevel).toBe(3);
    expect(round(many(1, 9))?.stairLevel).toBe(1);
    expect(round(many(6, 4))?.stairLevel).toBe(2);
    expect(round(many(10, 0, { level: 1 }))?.stairLevel).toBe(2);
    expect(round(many(9, 1), measured("counting", { offered: [2, 4] }))?.stairLevel).toBe(4);
  });

  test("keeps what is watched of it", () => {
    expect(round(many(24, 1))?.roundWatch).toMatchObject({ firstTried: 25, firstRight: 24 });
  });

  test("teaches the same, to the last bit, in whatever order regions and scores come", () => {
    const nats = fc.double({ min: -40, max: 0, noNaN: true });
    const scores = fc.array(
      fc.record({
        region: fc.constantFrom(regionKey(at("counting")), regionKey(at("colour")), "unknown"),
        level: fc.constantFrom(...LEVELS),
        fresh: fc.boolean(),
        chosenBefore: nats,
        rejectedBefore: nats,
        chosenAfter: nats,
        chosenTokens: fc.integer({ min: 1, max: 20 }),
        rejectedTokens: fc.integer({ min: 1, max: 20 }),
      }),
      { maxLength: 40 },
    );
    const orders = scores.chain((list) => fc.tuple(fc.constant(list), shuffledOf(list)));
    const regions = [measured("counting"), measured("colour", { gapMean: 1.3, gapSquare: 5.7 })];
    fc.assert(
      fc.property(orders, ([list, other]) => {
        const again = afterRound([...regions].reverse(), {}, other, DEFAULT_POLICY);
        expect(JSON.stringify(again)).toBe(JSON.stringify(afterRound(regions, {}, list, DEFAULT_POLICY)));
      }),
    );
  });
});

function shuffledOf<T>(list: readonly T[]): fc.Arbitrary<T[]> {
  return fc.shuffledSubarray([...list], { minLength: list.length });
}
