import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CAP_SHARE } from "../../shared/hardness/simulator/arms.ts";
import { LEARNERS } from "../../shared/hardness/simulator/learners.ts";
import { oracle, POLICIES, thisDesign, uniform } from "../../shared/hardness/simulator/policies.ts";
import { Random } from "../../shared/hardness/simulator/random.ts";
import { simulate } from "../../shared/hardness/simulator/run.ts";
import { JUDGE, type Order, SCENARIOS, SIZES, type Size, World } from "../../shared/hardness/simulator/world.ts";

const SIZE = SIZES[60];
/** Small, so that every policy can be run. */
const SMALL: Size = { tasks: 4, errors: 3, budget: 120 };
const [LEARNER] = LEARNERS;
const [BASE, NOISY, FORGETFUL] = SCENARIOS;
const world = (seed: number, size = SIZE, scenario: (typeof SCENARIOS)[number] = BASE) =>
  new World(size, LEARNER, scenario, seed);

describe("random numbers", () => {
  test("are those of xoshiro128**", () => {
    const random = new Random([1, 2, 3, 4]);
    expect(Array.from({ length: 4 }, () => random.next())).toEqual([11520, 0, 5927040, 70819200]);
  });

  test("have the moments of their distributions", () => {
    const n = 20_000;
    const random = Random.seeded(3);
    const meanOf = (draw: () => number) => Array.from({ length: n }, draw).reduce((sum, x) => sum + x, 0) / n;
    expect(meanOf(() => random.uniform())).toBeCloseTo(0.5, 1);
    expect(meanOf(() => random.normal())).toBeCloseTo(0, 1);
    expect(meanOf(() => random.normal() ** 2)).toBeCloseTo(1, 1);
    expect(meanOf(() => random.gamma(2.5))).toBeCloseTo(2.5, 1);
    expect(meanOf(() => random.beta(2, 6))).toBeCloseTo(0.25, 2);
    expect(meanOf(() => random.binomial(10, 0.3))).toBeCloseTo(3, 1);
    expect(meanOf(() => random.weighted([1, 0, 3], 4))).toBeCloseTo(1.5, 1);
  });

  test("of two seeds or two streams have nothing in common", () => {
    const first = (seed: number, stream: number) => Random.seeded(seed, stream).next();
    const drawn = [0, 1, 2, 3].flatMap((seed) => [0, 1, 2, 3].map((stream) => first(seed, stream)));
    expect(new Set(drawn).size).toBe(16);
  });

  test("put every number into a permutation once", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 40 }), (seed, n) => {
        const order = Random.seeded(seed).permutation(n);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
      { numRuns: 30 },
    );
  });
});

describe("learners", () => {
  test("learn something in the middle and nothing from what they have right already", () => {
    for (const { gain } of LEARNERS) {
      expect(gain(0.5)).toBeGreaterThan(0.4);
      expect(gain(0.999)).toBeLessThan(0.02);
    }
  });

  test("have their greatest gain where they say", () => {
    const peak = (gain: (p: number) => number) =>
      Array.from({ length: 999 }, (_, i) => (i + 1) / 1_000).reduce((a, b) => (gain(b) > gain(a) ? b : a));
    expect(LEARNERS.map(({ gain }) => peak(gain))).toEqual([0.5, 0.687, 0.12, expect.closeTo(0.4, 1)]);
    expect(LEARNERS[1].gain(0.6875)).toBeCloseTo(1, 6);
  });
});

describe("a world", () => {
  test("is the same for the same seed, whoever acts in it", () => {
    const [one, other] = [world(5), world(5)];
    one.advance([{ region: 0, level: 1, pairs: 50 }]);
    other.advance([{ region: 7, level: 2, pairs: 9 }]);
    expect(one.traffic).toEqual(other.traffic);
    expect(one.regions).toEqual(other.regions);
    expect(simulate(thisDesign, SMALL, LEARNER, BASE, 8)).toEqual(simulate(thisDesign, SMALL, LEARNER, BASE, 8));
    expect(world(6).ability).not.toEqual(world(5).ability);
  });

  test("shows every question, and reports failures at the rate at which it fails", () => {
    const made = world(1);
    let [failures, exposures] = [0, 0];
    for (let i = 0; i < 50; i++) {
      const reports = made.report();
      failures += reports.failures.reduce((sum, count) => sum + count, 0);
      exposures += reports.exposures.reduce((sum, count) => sum + count, 0);
    }
    expect(exposures).toBe(50 * 400);
    expect(failures / exposures).toBeCloseTo(1 - 0.98 * made.accuracy(), 1);
  });

  test("spends no more than the budget, and takes orders as they come", () => {
    const order = fc.record({
      region: fc.nat(59),
      level: fc.nat(3),
      pairs: fc.integer({ min: 0, max: 400 }),
    });
    fc.assert(
      fc.property(fc.nat(), fc.array(order, { maxLength: 20 }), (seed, orders) => {
        const made = world(seed);
        const outcomes = made.advance(orders);
        expect(outcomes.reduce((sum, { spent }) => sum + spent, 0)).toBeLessThanOrEqual(SIZE.budget);
        for (const { attempted, refused, right } of outcomes) {
          expect(refused).toBeLessThanOrEqual(attempted);
          expect(right).toBeLessThanOrEqual(attempted - refused);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("refuses invalid edits at the judge's sensitivity and valid ones at its false positive rate", () => {
    for (const scenario of [BASE, NOISY]) {
      let [attempted, refused, expected] = [0, 0, 0];
      for (let seed = 0; seed < 60; seed++) {
        const made = world(seed, SIZE, scenario);
        const bad = made.invalidShare(seed, 3);
        const [outcome] = made.advance([{ region: seed, level: 3, pairs: 150 }]);
        attempted += outcome?.attempted ?? 0;
        refused += outcome?.refused ?? 0;
        expected += (outcome?.attempted ?? 0) * (bad * JUDGE.sensitivity + (1 - bad) * JUDGE.falsePositive);
      }
      expect(attempted).toBeGreaterThan(5_000);
      expect(refused / attempted).toBeCloseTo(expected / attempted, 1);
    }
  });

  test("learns where it is trained, a little where task or error type is the same, and nothing where it cannot", () => {
    const made = world(2);
    const [home, deaf] = [true, false].map((can) => made.regions.findIndex(({ learnable }) => learnable === can));
    const before = made.ability.slice();
    made.advance([{ region: home as number, level: 1, pairs: 100 }]);
    const rise = (r: number) => (made.ability[r] as number) - (before[r] as number);
    const kin = made.regions.findIndex(
      ({ task, learnable }, r) => r !== home && learnable && task === made.region(home as number).task,
    );
    expect(rise(home as number)).toBeGreaterThan(10 * rise(kin));
    expect(rise(kin)).toBeGreaterThan(0);
    const deafBefore = made.ability[deaf as number];
    made.advance([{ region: deaf as number, level: 1, pairs: 100 }]);
    expect(made.ability[deaf as number]).toBe(deafBefore);
  });

  test("forgets what it learned in a region that gets no pairs, four times as fast where it is forgetful", () => {
    const lost = [BASE, FORGETFUL].map((scenario) => {
      const made = world(2, SIZE, scenario);
      const home = made.regions.findIndex(({ learnable }) => learnable);
      const start = made.ability[home] as number;
      made.advance([{ region: home, level: 1, pairs: 200 }]);
      const learned = (made.ability[home] as number) - start;
      made.advance([]);
      return 1 - ((made.ability[home] as number) - start) / learned;
    });
    expect(lost[0]).toBeCloseTo(0.015, 6);
    expect(lost[1]).toBeCloseTo(0.06, 6);
  });

  test("is shaken at half-time: a third of the regions lose ability, and traffic is dealt anew", () => {
    const made = world(4);
    for (let round = 0; round < 19; round++) made.advance([]);
    const [ability, traffic] = [made.ability.slice(), made.traffic.slice()];
    made.advance([]);
    const fallen = ability.filter((before, r) => before - (made.ability[r] as number) > 1);
    expect(fallen.length).toBe(20);
    expect(made.traffic).not.toEqual(traffic);
    expect(made.traffic.toSorted()).toEqual(traffic.toSorted());
  });
});

describe("every policy", () => {
  test("orders what can be ordered, honours its cap, and spends most of the budget once it knows the prices", () => {
    for (const kind of POLICIES) {
      const made = world(9, SMALL);
      const policy = kind.create(SMALL, Random.seeded(9), made);
      for (let round = 0; round < 6; round++) {
        const orders = policy.plan(made.report());
        for (const { region, level, pairs } of orders) {
          expect(made.regions[region]).toBeDefined();
          expect([0, 1, 2, 3]).toContain(level);
          expect(Number.isInteger(pairs) && pairs > 0).toBe(true);
        }
        const outcomes = made.advance(orders);
        policy.learn(outcomes);
        const spent = outcomes.reduce((sum, outcome) => sum + outcome.spent, 0);
        if (round > 2) expect([kind.name, spent > 0.75 * SMALL.budget]).toEqual([kind.name, true]);
        if (kind === thisDesign) expect(mostOf(orders)).toBeLessThanOrEqual(1 + CAP_SHARE * total(orders) * 1.2);
      }
    }
  });

  test("does the same again for the same seed", () => {
    for (const kind of POLICIES) {
      expect(simulate(kind, SMALL, LEARNER, BASE, 3)).toEqual(simulate(kind, SMALL, LEARNER, BASE, 3));
    }
  });

  test("lies between uniform and the oracle, if it is this design", () => {
    const area = (kind: typeof oracle) =>
      [0, 1].reduce((sum, seed) => sum + simulate(kind, SIZE, LEARNER, BASE, seed).area, 0);
    expect(area(thisDesign)).toBeGreaterThan(area(uniform));
    expect(area(oracle)).toBeGreaterThan(area(thisDesign));
  });
});

function total(orders: readonly Order[]): number {
  return orders.reduce((sum, { pairs }) => sum + pairs, 0);
}

function mostOf(orders: readonly Order[]): number {
  const byRegion = Map.groupBy(orders, ({ region }) => region);
  return Math.max(...[...byRegion.values()].map(total));
}
