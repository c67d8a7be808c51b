import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type CellTotal,
  type ClientTotal,
  exposureCuts,
  failureCuts,
  type RegionTotal,
  shareFactors,
} from "../../shared/hardness/client-share.ts";

const totals: fc.Arbitrary<ClientTotal[]> = fc
  .array(fc.oneof(fc.nat(5), fc.nat(200), fc.double({ min: 0.5, max: 10_000, noNaN: true })), { maxLength: 40 })
  .map((counts) => counts.map((counted, i) => ({ clientId: `c${i}`, counted })));
const caps = fc.constantFrom(0, 0.05, 0.1, 0.25, 0.5, 1);
const after = (given: readonly ClientTotal[], cap: number) => {
  const factors = shareFactors(given, cap);
  return given.map(({ clientId, counted }) => counted * (factors.get(clientId) ?? 1));
};
const sum = (counts: readonly number[]) => counts.reduce((all, one) => all + one, 0);
/** The larger one of an even number in the middle. */
function median(given: readonly ClientTotal[]): number {
  const rising = given
    .map(({ counted }) => counted)
    .filter((counted) => counted > 0)
    .sort((a, b) => a - b);
  return rising[Math.floor(rising.length / 2)] ?? 0;
}
/** What one client may have, in reports. */
const allowed = (given: readonly ClientTotal[], counts: readonly number[], cap: number) =>
  Math.max(cap * sum(counts), 2 * median(given));

describe("a client's share of what counts", () => {
  test("is never above the cap, or twice what the client in the middle reports", () => {
    fc.assert(
      fc.property(totals, caps, (given, cap) => {
        const counts = after(given, cap);
        for (const count of counts) expect(count).toBeLessThanOrEqual(allowed(given, counts, cap) * (1 + 1e-6));
      }),
    );
  });

  test("is cut no further than to the cap, and the small ones keep all", () => {
    fc.assert(
      fc.property(totals, caps, (given, cap) => {
        const counts = after(given, cap);
        const factors = shareFactors(given, cap);
        const limit = allowed(given, counts, cap);
        for (const [i, { clientId, counted }] of given.entries()) {
          const factor = factors.get(clientId);
          if (factor === undefined) expect(counts[i]).toBe(counted);
          else {
            expect(factor).toBeGreaterThan(0);
            expect(factor).toBeLessThan(1);
            expect(counts[i]).toBeGreaterThanOrEqual(limit * (1 - 1e-6));
          }
        }
      }),
    );
  });

  test("does not depend on the order of clients", () => {
    fc.assert(
      fc.property(totals, caps, (given, cap) => {
        expect(new Map([...shareFactors([...given].reverse(), cap)].sort())).toEqual(
          new Map([...shareFactors(given, cap)].sort()),
        );
      }),
    );
  });

  test("falls for nobody when a client reports less", () => {
    fc.assert(
      fc.property(totals, caps, fc.double({ min: 0.1, max: 1, noNaN: true }), (given, cap, less) => {
        const [first] = given;
        if (!first || first.counted === 0) return;
        const fewer = [{ ...first, counted: first.counted * less }, ...given.slice(1)];
        expect(after(fewer, cap)[0]).toBeLessThanOrEqual((after(given, cap)[0] ?? 0) * (1 + 1e-6));
      }),
    );
  });

  test("of half of all reports becomes the cap's", () => {
    const honest = Array.from({ length: 40 }, (_, i) => ({ clientId: `honest ${i}`, counted: 10 }));
    const given = [...honest, { clientId: "loud", counted: 400 }];
    const factors = shareFactors(given, 0.05);
    expect([...factors.keys()]).toEqual(["loud"]);
    const left = 400 * (factors.get("loud") ?? 1);
    expect(left / (400 + left)).toBeCloseTo(0.05, 9);
  });

  test("hardly changes with one more client that reports next to nothing, however few there are", () => {
    const busy = [80, 90, 100, 110].map((counted, i) => ({ clientId: `busy ${i}`, counted }));
    const before = sum(after(busy, 0.05));
    const with_ = after([...busy, { clientId: "quiet", counted: 1 }], 0.05);
    expect(sum(with_.slice(0, 4))).toBeGreaterThan(0.9 * before);
  });

  test("is twice what the client in the middle has where there are few clients, and all of two or one", () => {
    const counts = (...given: number[]) =>
      after(
        given.map((counted, i) => ({ clientId: `c${i}`, counted })),
        0.05,
      );
    expect(counts(90, 10, 20)).toEqual([40, 10, 20]);
    expect(counts(90, 10)).toEqual([90, 10]);
    expect(counts(90)).toEqual([90]);
    expect(counts()).toEqual([]);
  });

  test("is not limited by a cap of 1", () => {
    expect(
      shareFactors(
        [1, 1, 500].map((counted, i) => ({ clientId: `c${i}`, counted })),
        1,
      ).size,
    ).toBe(0);
  });
});

describe("exposures of one client", () => {
  const cell = (name: string, ...exposures: number[]): CellTotal[] =>
    exposures.map((count, i) => ({ clientId: `c${i}`, cell: name, exposures: count }));
  const cells: fc.Arbitrary<CellTotal[]> = fc
    .array(fc.array(fc.oneof(fc.nat(5), fc.nat(500)), { maxLength: 12 }), { maxLength: 5 })
    .map((all) => all.flatMap((exposures, i) => cell(`cell ${i}`, ...exposures)));
  const of = (given: readonly CellTotal[], name: string) => given.filter((total) => total.cell === name);

  test("are cut by the share of the cell or of all, whichever is stricter, and no cell loses more than it has", () => {
    fc.assert(
      fc.property(cells, caps, (given, cap) => {
        const cuts = exposureCuts(given, cap);
        const totals = [...Map.groupBy(given, (total) => total.clientId)].map(([clientId, own]) => ({
          clientId,
          counted: sum(own.map((total) => total.exposures)),
        }));
        const overall = shareFactors(totals, cap);
        for (const [name, own] of Map.groupBy(given, (total) => total.cell)) {
          const counted = own.map(({ clientId, exposures }) => ({ clientId, counted: exposures }));
          const within = sum(after(counted, cap));
          const all = sum(own.map((total) => total.exposures));
          const inAll = sum(own.map((total) => total.exposures * (overall.get(total.clientId) ?? 1)));
          const kept = all - (cuts.get(name) ?? 0);
          expect(kept).toBeLessThanOrEqual(Math.min(within, inAll) * (1 + 1e-9));
          expect(kept).toBeGreaterThanOrEqual((within + inAll - all) * (1 - 1e-9) - 1e-9);
        }
        for (const [name, cut] of cuts) {
          expect(cut).toBeGreaterThan(0);
          expect(cut).toBeLessThanOrEqual(sum(of(given, name).map((total) => total.exposures)));
        }
      }),
    );
  });

  test("do not depend on the order", () => {
    fc.assert(
      fc.property(cells, caps, (given, cap) => {
        const turned = exposureCuts([...given].reverse(), cap);
        const cuts = exposureCuts(given, cap);
        expect([...turned.keys()].sort()).toEqual([...cuts.keys()].sort());
        for (const [name, cut] of cuts) expect(turned.get(name)).toBeCloseTo(cut, 6);
      }),
    );
  });

  test("are at most twice the median's of a cell, even where the client's share of all is small", () => {
    const elsewhere = cell("other", ...Array.from({ length: 10 }, () => 500));
    const flooded = [
      ...cell("cell", ...Array.from({ length: 9 }, () => 10)),
      { clientId: "c9", cell: "cell", exposures: 400 },
    ];
    expect(exposureCuts([...elsewhere, ...flooded], 0.05)).toEqual(new Map([["cell", 380]]));
  });

  test("of a client that has a cell to itself are within its share of all", () => {
    const given = [
      ...cell("cell", ...Array.from({ length: 9 }, () => 10)),
      { clientId: "alone", cell: "own", exposures: 90 },
    ];
    expect(exposureCuts(given, 0.05)).toEqual(new Map([["own", 70]]));
  });
});

describe("cuts of failures", () => {
  const clientsOf = (...counts: number[]): RegionTotal[] =>
    counts.map((counted, i) => ({ clientId: `c${i}`, region: "busy", counted }));
  const regionTotals: fc.Arbitrary<RegionTotal[]> = fc.uniqueArray(
    fc.record({
      clientId: fc.nat(7).map((i) => `c${i}`),
      region: fc.constantFrom("a", "b", "c"),
      counted: fc.integer({ min: 1, max: 6 }).map((halves) => halves / 2),
    }),
    { selector: ({ clientId, region }) => `${clientId} ${region}`, maxLength: 24 },
  );

  test("a client that reports where nobody else does counts once, in each such region", () => {
    const crowd = clientsOf(2, 2, 2, 2, 2);
    const quiet = ["x", "y"].map((region): RegionTotal => ({ clientId: "c4", region, counted: 3 }));
    expect(failureCuts([...crowd, ...quiet], 0.9)).toEqual(
      new Map([
        ["x", 2],
        ["y", 2],
      ]),
    );
  });

  test("nobody is cut where all report alike, nor among fewer than five, nor without a cap", () => {
    expect(failureCuts(clientsOf(3, 3, 3, 3, 3, 3), 0.05)).toEqual(new Map());
    expect(failureCuts([...clientsOf(1, 1, 1), { clientId: "c0", region: "own", counted: 2 }], 0.9)).toEqual(new Map());
    expect(failureCuts([...clientsOf(1, 1, 1, 1, 1), { clientId: "c0", region: "own", counted: 3 }], 1)).toEqual(
      new Map(),
    );
  });

  test("never take all of a region, nor depend on the order; one report more never makes it count less", () => {
    fc.assert(
      fc.property(regionTotals, fc.nat(23), (totals, pick) => {
        const kept = (given: readonly RegionTotal[], region: string) =>
          given.reduce((sum, total) => sum + (total.region === region ? total.counted : 0), 0) -
          (failureCuts(given, 0.99).get(region) ?? 0);
        for (const { region } of totals) {
          expect(kept(totals, region)).toBeGreaterThan(0);
          expect(kept([...totals].reverse(), region)).toBeCloseTo(kept(totals, region), 9);
        }
        const chosen = totals[pick % Math.max(1, totals.length)];
        if (!chosen) return;
        const more = totals.map((total) => (total === chosen ? { ...total, counted: total.counted + 0.5 } : total));
        expect(kept(more, chosen.region)).toBeGreaterThanOrEqual(kept(totals, chosen.region) - 1e-9);
      }),
    );
  });
});
