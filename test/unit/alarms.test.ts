import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { seeded } from "../../shared/edits/random.ts";
import { type Ability, sigmoid, updateAbility } from "../../shared/hardness/ability.ts";
import {
  alarmsOf,
  type RateWatch,
  type RoundWatch,
  readRateWatch,
  readRoundWatch,
  sentinelAlarm,
  watchRate,
  watchRound,
} from "../../shared/hardness/alarms.ts";
import { ALARMS } from "../../shared/hardness/state.ts";

const FRESH = { rateWatch: readRateWatch("{}"), roundWatch: readRoundWatch("{}"), chosenLogRatio: 0 };
const { alarms: ALARM_POLICY } = DEFAULT_POLICY;
const SEEDS = Array.from({ length: 50 }, (_, seed) => seed + 1);

function on(watched: Partial<typeof FRESH>): readonly string[] {
  return alarmsOf({ ...FRESH, ...watched }, DEFAULT_POLICY);
}

function share<T>(items: readonly T[], test: (item: T) => boolean): number {
  return items.filter(test).length / items.length;
}

function successes(random: () => number, tried: number, p: number): number {
  return Array.from({ length: tried }, random).filter((u) => u < p).length;
}

test("a fresh region has no alarm, and what is watched survives being stored", () => {
  expect(on({})).toEqual([]);
  const rate = watchRate(FRESH.rateWatch, { failures: 3, exposures: 50 }, ALARM_POLICY);
  expect(readRateWatch(JSON.stringify(rate))).toEqual(rate);
  const round = roundOf({ mean: 0, variance: 1 }, 20, 12);
  const watch = watchRound(FRESH.roundWatch, round, DEFAULT_POLICY);
  expect(readRoundWatch(JSON.stringify(watch))).toEqual(watch);
});

describe("the failure rate", () => {
  /** The watch after each tick, `rateOf` giving the tick's true rate. */
  function ticks(seed: number, count: number, exposures: number, rateOf: (tick: number) => number): RateWatch[] {
    const random = seeded(seed);
    const watches: RateWatch[] = [];
    for (let tick = 0; tick < count; tick++) {
      const failures = successes(random, exposures, rateOf(tick));
      watches.push(watchRate(watches.at(-1) ?? FRESH.rateWatch, { failures, exposures }, ALARM_POLICY));
    }
    return watches;
  }
  const jumped = (rateWatch: RateWatch) => on({ rateWatch }).includes("failure-rate");

  test.each([
    [0.1, 100],
    [0.3, 10],
    [0.01, 100],
  ])("steady at %d of %d exposures alarms in fewer than one tick of a thousand", (rate, exposures) => {
    expect(
      share(
        SEEDS.flatMap((seed) => ticks(seed, 200, exposures, () => rate)),
        jumped,
      ),
    ).toBeLessThan(0.001);
  });

  test("that differs from tick to tick by a third alarms in fewer than two ticks of a hundred", () => {
    const watches = SEEDS.flatMap((seed) => {
      const weather = seeded(10_000 + seed);
      return ticks(seed, 200, 200, () => 0.3 * (2 / 3 + (2 / 3) * weather()));
    });
    expect(share(watches, jumped)).toBeLessThan(0.02);
  });

  test("alarms within four ticks of a jump from 10 to 30 % of 50 exposures, and is quiet again when that is the rule", () => {
    const runs = SEEDS.map((seed) => ticks(seed, 150, 50, (tick) => (tick < 40 ? 0.1 : 0.3)));
    expect(share(runs, (run) => run.slice(40, 44).some(jumped))).toBeGreaterThan(0.95);
    expect(share(runs, (run) => run.slice(-1).some(jumped))).toBe(0);
  });

  test("that falls never alarms, and a tick without exposures says nothing", () => {
    const runs = SEEDS.flatMap((seed) => ticks(seed, 80, 50, (tick) => (tick < 40 ? 0.4 : 0.1)).slice(40));
    expect(share(runs, jumped)).toBe(0);
    const [watch] = runs;
    if (watch) expect(watchRate(watch, { failures: 0, exposures: 0 }, ALARM_POLICY)).toBe(watch);
  });

  test("does not alarm for one odd tick alone", () => {
    const steady = ticks(1, 100, 100, () => 0.02).at(-1) ?? FRESH.rateWatch;
    const odd = watchRate({ ...steady, rise: 0 }, { failures: 90, exposures: 100 }, ALARM_POLICY);
    expect(jumped(odd)).toBe(false);
  });
});

function roundOf(before: Ability, tried: number, right: number) {
  const trials = [{ difficulty: 0, tried, right }];
  return { before, after: updateAbility(before, trials), trials };
}

/** Rounds of `tried` fresh pairs whose true ability is `abilityOf` the round; the belief begins at the truth. */
function rounds(seed: number, count: number, tried: number, abilityOf: (round: number) => number): RoundWatch[] {
  const random = seeded(seed);
  let belief: Ability = { mean: abilityOf(0), variance: 0.3 };
  const watches: RoundWatch[] = [];
  for (let round = 0; round < count; round++) {
    const seen = roundOf(belief, tried, successes(random, tried, sigmoid(abilityOf(round))));
    watches.push(watchRound(watches.at(-1) ?? FRESH.roundWatch, seen, DEFAULT_POLICY));
    belief = seen.after;
  }
  return watches;
}

describe("a measured accuracy", () => {
  const surprising = (roundWatch: RoundWatch) => on({ roundWatch }).includes("surprise");

  test("is as far from the predicted one as a standard normal number where the prediction holds", () => {
    const seen = SEEDS.flatMap((seed) => rounds(seed, 20, 60, () => 0.4)).map(({ innovation }) => innovation);
    expect(Math.abs(seen.reduce((sum, z) => sum + z, 0) / seen.length)).toBeLessThan(0.1);
    const square = seen.reduce((sum, z) => sum + z ** 2, 0) / seen.length;
    expect(square).toBeGreaterThan(0.4);
    expect(square).toBeLessThan(1.1);
  });

  test("surprises in fewer than one round of a hundred while ability stays, and at once when it falls by 2 logits", () => {
    const quiet = SEEDS.flatMap((seed) => rounds(seed, 20, 60, () => 0.4));
    expect(share(quiet, surprising)).toBeLessThan(0.01);
    const fallen = SEEDS.map((seed) => rounds(seed, 11, 60, (round) => (round < 10 ? 1 : -1)).slice(-1));
    expect(share(fallen.flat(), surprising)).toBeGreaterThan(0.95);
  });

  test("of nearly all pairs at their first scoring means that style may tell, given enough pairs", () => {
    const style = (tried: number, right: number) =>
      on({ roundWatch: watchRound(FRESH.roundWatch, roundOf({ mean: 3, variance: 1 }, tried, right), DEFAULT_POLICY) });
    expect(style(40, 40)).toContain("style");
    expect(style(40, 38)).not.toContain("style");
    expect(style(19, 19)).not.toContain("style");
  });
});

describe("a region that is trained", () => {
  const still = (roundWatch: RoundWatch) => on({ roundWatch }).includes("still");

  test("does not move if its ability stays, for most regions within twelve rounds", () => {
    const runs = SEEDS.map((seed) => rounds(seed, 12, 60, () => 0.2));
    expect(share(runs, (run) => run.some(still))).toBeGreaterThan(0.6);
    expect(share(runs, (run) => run.slice(0, 5).some(still))).toBe(0);
  });

  test("moves if a round brings a fifth of a logit", () => {
    const seen = SEEDS.flatMap((seed) => rounds(seed, 10, 60, (round) => -1 + 0.2 * round));
    expect(share(seen, still)).toBeLessThan(0.02);
  });

  test("need not rise where it is nearly always right", () => {
    expect(SEEDS.flatMap((seed) => rounds(seed, 12, 200, () => 3.5)).some(still)).toBe(false);
  });

  test("alarms while its chosen answers lose probability", () => {
    expect(on({ chosenLogRatio: -0.6 })).toEqual(["displacement"]);
    expect(on({ chosenLogRatio: -0.4 })).toEqual([]);
  });
});

test("alarms come in one order", () => {
  const all = on({
    rateWatch: { ...FRESH.rateWatch, rise: 9 },
    roundWatch: { innovation: -3, firstTried: 50, firstRight: 50, still: 9, abilityWas: 0 },
    chosenLogRatio: -1,
  });
  expect(all).toEqual([...ALARMS]);
});

describe("sentinels", () => {
  const gap = fc.double({ min: -50, max: 50, noNaN: true });

  test("that all mirror their twins raise no alarm, however wrong the model is about them", () => {
    fc.assert(
      fc.property(fc.array(gap), (gaps) => {
        const twins = gaps.map((one) => ({ gap: one, swapped: -one }));
        expect(sentinelAlarm(twins, ALARM_POLICY)).toMatchObject({ on: false, mirrored: gaps.length });
      }),
    );
  });

  test("raise it when more than a twentieth do not: a trainer that ignores the order of answers, or its texts", () => {
    const good = Array.from({ length: 19 }, (_, i) => ({ gap: i - 9, swapped: 9 - i + 0.05 }));
    const bad = { gap: 3, swapped: 3 };
    expect(sentinelAlarm([...good, bad], ALARM_POLICY)).toMatchObject({ on: false, twins: 20, mirrored: 19 });
    const alarm = sentinelAlarm([...good, bad, bad], ALARM_POLICY);
    expect(alarm).toMatchObject({ on: true, twins: 21, mirrored: 19 });
    expect(alarm.sentence).toContain("19 of 21");
  });
});
