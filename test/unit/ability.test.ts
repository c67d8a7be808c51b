import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BASE_CHANGE_DRIFT,
  MAX_ABILITY,
  MAX_VARIANCE,
  ROUND_DRIFT,
  readAbilities,
  sigmoid,
  type Trials,
  updateAbility,
  updateDifficulty,
} from "../../shared/hardness/ability.ts";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";

const mean = fc.double({ min: -MAX_ABILITY, max: MAX_ABILITY, noNaN: true });
const variance = fc.double({ min: 0.01, max: MAX_VARIANCE, noNaN: true });
const belief = fc.record({ mean, variance });
const trial: fc.Arbitrary<Trials> = fc
  .record({
    difficulty: fc.double({ min: -3, max: 3, noNaN: true }),
    tried: fc.integer({ min: 1, max: 500 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ difficulty, tried, share }) => ({ difficulty, tried, right: Math.round(share * tried) }));
const trials = fc.array(trial, { maxLength: 4 });
const SLACK = 1e-9;

describe("a belief about ability", () => {
  test("moves up when more was right than expected, down when less, and not past what is possible", () => {
    fc.assert(
      fc.property(belief, trials, (prior, seen) => {
        const surprise = seen.reduce((sum, t) => sum + t.right - t.tried * sigmoid(prior.mean - t.difficulty), 0);
        const after = updateAbility(prior, seen);
        expect(Math.abs(after.mean)).toBeLessThanOrEqual(MAX_ABILITY);
        if (surprise >= 0) expect(after.mean).toBeGreaterThanOrEqual(prior.mean - SLACK);
        if (surprise <= 0) expect(after.mean).toBeLessThanOrEqual(prior.mean + SLACK);
      }),
    );
  });

  test("only widens when nothing was seen, to a limit", () => {
    fc.assert(
      fc.property(belief, fc.constantFrom(ROUND_DRIFT, BASE_CHANGE_DRIFT), (prior, drift) => {
        const after = updateAbility(prior, [], drift);
        expect(after.mean).toBeCloseTo(prior.mean, 9);
        expect(after.variance).toBeCloseTo(Math.min(prior.variance + drift, MAX_VARIANCE), 9);
      }),
    );
  });

  test("narrows with every trial", () => {
    fc.assert(
      fc.property(belief, trials, trial, (prior, seen, more) => {
        const widened = Math.min(prior.variance + ROUND_DRIFT, MAX_VARIANCE);
        expect(updateAbility(prior, [...seen, more]).variance).toBeLessThanOrEqual(widened);
        expect(updateAbility(prior, seen).variance).toBeGreaterThan(0);
      }),
    );
  });

  test("comes near the mode of the posterior, found by search", () => {
    const prior = { mean: 0.3, variance: 0.5 };
    const seen = [
      { difficulty: -0.5, tried: 30, right: 26 },
      { difficulty: 0.5, tried: 40, right: 25 },
    ];
    const posterior = (x: number) =>
      seen.reduce(
        (sum, { difficulty, tried, right }) =>
          sum + right * Math.log(sigmoid(x - difficulty)) + (tried - right) * Math.log(sigmoid(difficulty - x)),
        -((x - prior.mean) ** 2) / (2 * (prior.variance + ROUND_DRIFT)),
      );
    const grid = Array.from({ length: 4_001 }, (_, i) => -2 + i / 1_000);
    const mode = grid.reduce((best, x) => (posterior(x) > posterior(best) ? x : best));
    expect(updateAbility(prior, seen).mean).toBeCloseTo(mode, 2);
  });

  test("finds a skill that lies far away within a few rounds", () => {
    const rounds = [1, 2, 3, 4].reduce((now) => updateAbility(now, [{ difficulty: 0, tried: 1_000, right: 18 }]), {
      mean: 6,
      variance: 0.05,
    });
    expect(rounds.mean).toBeCloseTo(-4, 0);
  });
});

describe("a level's difficulty", () => {
  const levels = fc.tuple(
    ...([0, 0, 0, 0].map(() => fc.double({ min: -2, max: 2, noNaN: true })) as [
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
    ]),
  );

  test("rises against the other levels when less was right than expected, and falls when more", () => {
    fc.assert(
      fc.property(
        levels,
        fc.constantFrom(1, 2, 3, 4),
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (before, level, tried, expected, right) => {
          const after = updateDifficulty(before, level, { expected: expected * tried, right: right * tried, tried });
          const other = level === 1 ? 1 : 0;
          const gap = (d: readonly number[]) => (d[level - 1] ?? 0) - (d[other] ?? 0);
          expect(Math.sign(gap(after) - gap(before)) * Math.sign(expected - right)).toBeGreaterThanOrEqual(
            Math.abs(expected - right) < 1e-6 ? -1 : 0,
          );
        },
      ),
    );
  });

  test("keeps the mean of the four where it began", () => {
    const harder = updateDifficulty(START_DIFFICULTY, 3, { expected: 60, right: 20, tried: 100 });
    expect(harder.reduce((sum, d) => sum + d, 0)).toBeCloseTo(0, 12);
    expect(harder[2] - START_DIFFICULTY[2]).toBeCloseTo(0.02 * 4 * (3 / 4), 12);
  });
});

describe("abilities as a plan reads them", () => {
  const region = (task: "counting" | "colour" | "size", abilityMean: number, scored: number) =>
    ({ task, errorType: "attribute", abilityMean, abilityVar: scored > 0 ? 0.1 : 1, scored }) as const;

  test("are drawn to what their kin can do, the less measured the more", () => {
    const [known, , fresh] = readAbilities([
      region("counting", -2, 500),
      region("colour", -2, 500),
      region("size", 0, 0),
    ]);
    expect(known?.mean).toBeLessThan(-1.5);
    expect(fresh?.mean).toBeLessThan(-0.3);
    expect(fresh?.mean).toBeGreaterThan(known?.mean ?? 0);
  });

  test("do not follow regions that were never measured", () => {
    expect(readAbilities([region("counting", -2, 0), region("size", 0, 0)])[1]?.mean).toBe(0);
  });
});
