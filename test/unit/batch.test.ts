import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { POLARITY_SLACK_PAIRS, regionCap } from "../../shared/hardness/allotment.ts";
import { type BatchLimits, type LevelStock, type Quotas, quotasOf, type Stock } from "../../shared/hardness/batch.ts";
import { LEVELS } from "../../shared/taxonomy/taxonomy.ts";

const NOTHING = { open: 0, yes: 0, no: 0, again: 0, saturated: 0 };

function limitsOf(training: object = {}, batch: object = {}): BatchLimits {
  return { training: { ...DEFAULT_POLICY.training, ...training }, batch: { ...DEFAULT_POLICY.batch, ...batch } };
}

function stock(region: string, value: number, levels: Partial<LevelStock>[]): Stock {
  const full = levels.map((level) => ({ level: 2 as const, predicted: 0.5, ...NOTHING, ...level }));
  return { region, task: region.slice(0, region.indexOf("/")), value, levels: full };
}

const count = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }));
const level = fc.record({
  predicted: fc.double({ min: 0, max: 1, noNaN: true }),
  open: count,
  yes: count,
  no: count,
  again: count,
  saturated: count,
});
const stocks = fc
  .uniqueArray(fc.tuple(fc.constantFrom("counting", "existence", "colour"), fc.integer({ min: 0, max: 9 })), {
    maxLength: 12,
    selector: (parts) => parts.join("/"),
  })
  .chain((names) =>
    fc.tuple(
      ...names.map(([task, error]) =>
        fc
          .record({ value: fc.double({ min: 0, max: 5, noNaN: true }), levels: fc.array(level, { maxLength: 4 }) })
          .map(({ value, levels }) => ({
            region: `${task}/${error}/en/image`,
            task,
            value,
            levels: levels.map((one, i) => ({ ...one, level: LEVELS[i] ?? 1 })),
          })),
      ),
    ),
  );
const limits: fc.Arbitrary<BatchLimits> = fc
  .record({
    maxPairs: fc.integer({ min: 1, max: 300 }),
    regionCapShare: fc.double({ min: 0, max: 1, noNaN: true }),
    outsideShare: fc.double({ min: 0, max: 1, noNaN: true }),
    againShare: fc.double({ min: 0, max: 0.5, noNaN: true }),
    replayShare: fc.double({ min: 0, max: 0.5, noNaN: true }),
    rescoreShare: fc.double({ min: 0, max: 1, noNaN: true }),
    sentinelShare: fc.double({ min: 0, max: 0.2, noNaN: true }),
  })
  .map(({ maxPairs, regionCapShare, ...batch }) => limitsOf({ maxPairs, regionCapShare }, batch));

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const freshOf = ({ levels }: Stock) => sum(levels.map(({ open, yes, no }) => open + yes + no));
const pairsIn = (quotas: readonly { pairs: number }[]) => sum(quotas.map(({ pairs }) => pairs));
const trainedIn = ({ fresh, again, mastered }: Quotas) =>
  pairsIn(fresh) + pairsIn(again) + sum(mastered.map(({ train }) => train));

describe("the quotas of a batch", () => {
  test("never ask for more than there is, and for each part of it once", () => {
    fc.assert(
      fc.property(stocks, limits, (given, limit) => {
        const { fresh, again, mastered } = quotasOf(given, limit);
        const levelOf = (region: string, at: number) =>
          given.find((one) => one.region === region)?.levels.find((one) => one.level === at);
        for (const { region, level: at, polarity, pairs } of fresh) {
          expect(pairs).toBeGreaterThan(0);
          expect(pairs).toBeLessThanOrEqual(levelOf(region, at)?.[polarity ?? "open"] ?? 0);
        }
        for (const { region, level: at, pairs } of again) {
          expect(pairs).toBeLessThanOrEqual(levelOf(region, at)?.again ?? 0);
        }
        for (const { region, train, score } of mastered) {
          const all = sum((given.find((one) => one.region === region)?.levels ?? []).map((one) => one.saturated));
          expect(train + score).toBeLessThanOrEqual(all);
        }
        const names = fresh.map(({ region, level: at, polarity }) => `${region} ${at} ${polarity}`);
        expect(new Set(names).size).toBe(names.length);
      }),
    );
  });

  test("hold the batch's size, the region's cap, the share outside the band, and the balance of yes and no", () => {
    fc.assert(
      fc.property(stocks, limits, (given, limit) => {
        const quotas = quotasOf(given, limit);
        const { maxPairs, regionCapShare } = limit.training;
        expect(trainedIn(quotas)).toBeLessThanOrEqual(maxPairs);
        const size = Math.min(maxPairs, sum(given.map(freshOf)));
        const fresh = pairsIn(quotas.fresh);
        const repeated = Math.min(Math.floor(limit.batch.againShare * fresh), maxPairs - fresh);
        const regions = given.filter((one) => freshOf(one) > 0).length;
        const cap = regionCap(Math.max(size, fresh + repeated), regions, regionCapShare);
        const taken = [...quotas.fresh, ...quotas.again];
        for (const { region } of given) {
          expect(pairsIn(taken.filter((one) => one.region === region))).toBeLessThanOrEqual(cap);
        }
        const outside = taken.filter(({ region, level: at }) => {
          const found = given.find((one) => one.region === region)?.levels.find((one) => one.level === at);
          const predicted = found?.predicted ?? 0;
          return predicted < limit.batch.bandLow || predicted > limit.batch.bandHigh;
        });
        expect(pairsIn(outside)).toBeLessThanOrEqual(limit.batch.outsideShare * size);
        for (const [, ofTask] of Map.groupBy(quotas.fresh, ({ region }) => region.split("/")[0])) {
          const saying = (polarity: string) => pairsIn(ofTask.filter((quota) => quota.polarity === polarity));
          expect(Math.abs(saying("yes") - saying("no"))).toBeLessThanOrEqual(POLARITY_SLACK_PAIRS);
        }
      }),
    );
  });

  test("hold the shares of what is repeated and what is scored", () => {
    fc.assert(
      fc.property(stocks, limits, (given, limit) => {
        const quotas = quotasOf(given, limit);
        const { againShare, replayShare, rescoreShare, sentinelShare } = limit.batch;
        const fresh = pairsIn(quotas.fresh);
        const trained = trainedIn(quotas);
        expect(pairsIn(quotas.again)).toBeLessThanOrEqual(againShare * trained);
        expect(sum(quotas.mastered.map(({ train }) => train))).toBeLessThanOrEqual(replayShare * trained);
        const saturated = sum(given.flatMap(({ levels }) => levels.map((one) => one.saturated)));
        expect(sum(quotas.mastered.map(({ score }) => score))).toBeLessThanOrEqual(Math.ceil(rescoreShare * saturated));
        expect(2 * quotas.sentinels).toBeLessThanOrEqual(sentinelShare * trained + 2);
        const touched = new Set(quotas.fresh.map(({ region }) => region));
        for (const { region, train } of quotas.mastered) if (train > 0) expect(touched.has(region)).toBe(false);
        if (fresh === 0) expect(quotas).toEqual({ fresh: [], again: [], mastered: [], sentinels: 0 });
      }),
    );
  });

  test("are the same whatever the order of the regions", () => {
    const shuffled = stocks.chain((given) =>
      fc.tuple(fc.constant(given), fc.shuffledSubarray(given, { minLength: given.length })),
    );
    fc.assert(
      fc.property(shuffled, limits, ([given, other], limit) => {
        expect(quotasOf(other, limit)).toEqual(quotasOf(given, limit));
      }),
    );
  });

  test("leave no region out that has a pair for the batch, if the batch is large enough", () => {
    fc.assert(
      fc.property(stocks, (given) => {
        const open = given.map((one) => ({
          ...one,
          levels: one.levels.map((at) => ({ ...at, predicted: 0.5, open: at.open + at.yes + at.no, yes: 0, no: 0 })),
        }));
        const withNew = open.filter((one) => freshOf(one) > 0);
        const quotas = quotasOf(
          open,
          limitsOf({ maxPairs: 200, regionCapShare: 0 }, { againShare: 0, replayShare: 0 }),
        );
        expect(new Set(quotas.fresh.map(({ region }) => region))).toEqual(new Set(withNew.map(({ region }) => region)));
      }),
    );
  });

  test("take everything when everything fits", () => {
    fc.assert(
      fc.property(stocks, (given) => {
        const open = given.map((one) => ({ ...one, levels: one.levels.map((at) => ({ ...at, yes: 0, no: 0 })) }));
        const quotas = quotasOf(open, limitsOf({ maxPairs: 20_000, regionCapShare: 1 }, { outsideShare: 1 }));
        expect(pairsIn(quotas.fresh)).toBe(sum(open.map(freshOf)));
      }),
    );
  });

  test("go by what the next pair is worth", () => {
    const given = [3, 1, 0.5].map((value, i) => stock(`colour/e${i}/en/image`, value, [{ open: 1_000 }]));
    const { fresh } = quotasOf(given, limitsOf({ maxPairs: 450, regionCapShare: 1 }));
    expect(fresh.map(({ pairs }) => pairs)).toEqual([300, 100, 50]);
  });

  test("fill the band from its middle, and go outside for the rest", () => {
    const levels = [0.95, 0.85, 0.55, 0.1].map((predicted, i) => ({
      level: LEVELS[i] ?? (1 as const),
      predicted,
      open: 100,
    }));
    const take = (maxPairs: number) =>
      quotasOf([stock("colour/e/en/image", 1, levels)], limitsOf({ maxPairs })).fresh.map((quota) => [
        quota.level,
        quota.pairs,
      ]);
    expect(take(80)).toEqual([[3, 80]]);
    expect(take(150)).toEqual([
      [3, 100],
      [2, 50],
    ]);
    // A fifth of 250 is from outside: the nearer to the middle first.
    expect(take(250)).toEqual([
      [3, 100],
      [2, 100],
      [4, 50],
    ]);
  });

  test("answers that all say yes wait for others that say no, in any region of their task", () => {
    const given = [
      stock("existence/a/en/image", 1, [{ yes: 100 }]),
      stock("existence/b/en/image", 1, [{ no: 30 }]),
      stock("colour/c/en/image", 1, [{ no: 50 }]),
    ];
    const { fresh } = quotasOf(given, limitsOf({ maxPairs: 150, regionCapShare: 1 }));
    expect(Object.fromEntries(fresh.map(({ region, pairs }) => [region, pairs]))).toEqual({
      "existence/a/en/image": 30 + POLARITY_SLACK_PAIRS,
      "existence/b/en/image": 30,
      "colour/c/en/image": POLARITY_SLACK_PAIRS,
    });
  });

  test("mastered pairs are repeated where nothing is new, and some are scored everywhere", () => {
    const given = [
      stock("colour/new/en/image", 1, [{ open: 100, saturated: 100 }]),
      stock("colour/old/en/image", 0, [{ saturated: 100 }]),
    ];
    const { mastered, sentinels } = quotasOf(given, limitsOf());
    expect(mastered).toEqual([
      { region: "colour/new/en/image", train: 0, score: 2 },
      { region: "colour/old/en/image", train: 10, score: 2 },
    ]);
    expect(sentinels).toBe(2);
  });
});
