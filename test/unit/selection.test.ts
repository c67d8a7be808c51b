import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { POLARITY_SLACK_PAIRS } from "../../shared/hardness/allotment.ts";
import { BLIND_MIN_PAIRS, blindness, withoutTelling } from "../../shared/hardness/blindness.ts";
import {
  type Candidate,
  type Head,
  type SelectionPolicy,
  selectPairs,
  templateCap,
} from "../../shared/hardness/selection.ts";

const POLICY: SelectionPolicy = DEFAULT_POLICY.batch;

function pair(id: string, fields: Partial<Candidate> = {}): Candidate {
  return {
    id,
    sourceId: `source ${id}`,
    region: "counting/count-near/en/image",
    polarity: null,
    image: null,
    template: null,
    spanFrom: null,
    spanTo: null,
    ...fields,
  };
}

const many = (count: number, make: (i: number) => Candidate) => Array.from({ length: count }, (_, i) => make(i));
const headOf = (candidates: Candidate[], quota = candidates.length): Head<Candidate> => ({ quota, candidates });
const NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

/** Edits whose words say nothing: each is as often right as wrong. */
function fair(count: number): Candidate[] {
  return many(count, (i) => {
    const [from, to] = [NUMBERS[(i >> 1) % 8] ?? "", NUMBERS[((i >> 1) + 1) % 8] ?? ""];
    return pair(`fair ${i}`, i % 2 === 0 ? { spanFrom: from, spanTo: to } : { spanFrom: to, spanTo: from });
  });
}

/** Edits that always make the same of the same. */
function oneWay(count: number): Candidate[] {
  return many(count, (i) => pair(`telling ${i}`, { spanFrom: "red", spanTo: "blue", image: `image ${i}` }));
}

describe("answers told apart without the image", () => {
  test("one-way edits are, fair ones are not, whatever the order of the pairs", () => {
    expect(blindness(oneWay(60)).accuracy).toBe(1);
    expect(blindness(fair(400)).accuracy).toBeLessThan(0.6);
    expect(blindness(fair(400).reverse())).toEqual(blindness(fair(400)));
  });

  test("a longer right answer gives itself away", () => {
    const longer = many(200, (i) => pair(`${i}`, { spanFrom: `word${i} more${i}`, spanTo: `other${i}` }));
    expect(blindness(longer).accuracy).toBe(1);
  });

  test("swapping every pair's answers changes nothing but the direction", () => {
    const swapped = fair(300).map((one) => ({ ...one, spanFrom: one.spanTo, spanTo: one.spanFrom }));
    expect(blindness(swapped)).toEqual(blindness(fair(300)));
  });

  test("random labels stay near chance: nobody is judged by its own words", () => {
    const label = fc.array(fc.tuple(fc.constantFrom(...NUMBERS), fc.constantFrom(...NUMBERS)), {
      minLength: 300,
      maxLength: 300,
    });
    fc.assert(
      fc.property(label, (labels) => {
        const pairs = labels.map(([spanFrom, spanTo], i) => pair(`${i}`, { spanFrom, spanTo }));
        expect(blindness(pairs).accuracy).toBeLessThan(0.65);
      }),
      { numRuns: 20, seed: 7 },
    );
  });

  test("the telling ones go until the rest passes, and no more of it than that takes", () => {
    const mixed = [...fair(200), ...oneWay(150)];
    expect(blindness(mixed).accuracy).toBeGreaterThan(0.65);
    const { kept, blindness: after } = withoutTelling(mixed, 0.65);
    expect(after.accuracy).toBeLessThanOrEqual(0.65);
    expect(blindness(kept)).toEqual(after);
    expect(kept.filter(({ id }) => id.startsWith("fair")).length).toBeGreaterThan(180);
    expect(kept.length).toBeGreaterThan(200);
  });

  test("a batch that gives everything away is left out altogether; pairs without spans and small batches are not judged", () => {
    const silent = many(10, (i) => pair(`silent ${i}`));
    expect(withoutTelling([...oneWay(200), ...silent], 0.65).kept).toEqual(silent);
    const few = oneWay(BLIND_MIN_PAIRS - 1);
    expect(withoutTelling(few, 0.65).kept).toEqual(few);
  });
});

describe("filling the quotas", () => {
  const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null });
  const candidate = fc.record({
    sourceId: fc.integer({ min: 0, max: 40 }).map((n) => `s${n}`),
    task: fc.constantFrom("counting", "existence"),
    polarity: fc.constantFrom("yes" as const, "no" as const, null),
    image: optional(fc.constantFrom("a", "b", "c")),
    template: optional(fc.constantFrom("how many", "is there")),
    spanFrom: optional(fc.constantFrom("one", "two", "red")),
    spanTo: optional(fc.constantFrom("three", "four", "blue")),
  });
  const heads = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.array(candidate, { maxLength: 25 })), { maxLength: 5 })
    .map((all): Head<Candidate>[] =>
      all.map(([quota, candidates], head) => ({
        quota,
        candidates: candidates.map(({ task, ...rest }, i) => ({
          ...rest,
          id: `${head}-${i}`,
          region: `${task}/e/en/image`,
        })),
      })),
    );
  const policies: fc.Arbitrary<SelectionPolicy> = fc.record({
    pairsPerImage: fc.integer({ min: 1, max: 10 }),
    templateCapShare: fc.double({ min: 0, max: 1, noNaN: true }),
    blindAccuracyMax: fc.double({ min: 0.5, max: 1, noNaN: true }),
    duplicateShareMax: fc.double({ min: 0, max: 0.2, noNaN: true }),
  });

  test("holds quotas, caps, the share of duplicates, the balance and the limit of blind accuracy", () => {
    fc.assert(
      fc.property(heads, policies, (given, policy) => {
        const { pairs, blindness: found, dropped, leftOut } = selectPairs(given, policy);
        expect(selectPairs(given, policy).pairs).toEqual(pairs);
        expect(new Set([...pairs, ...dropped]).size).toBe(pairs.length + dropped.length);
        expect(dropped.length).toBe(Object.values(leftOut).reduce((sum, count) => sum + count, 0));
        for (const { quota, candidates } of given) {
          expect(pairs.filter((one) => candidates.includes(one)).length).toBeLessThanOrEqual(quota);
        }
        const size = given.reduce((sum, { quota, candidates }) => sum + Math.min(quota, candidates.length), 0);
        const all = given.flatMap(({ candidates }) => candidates);
        const templates = new Set(all.flatMap(({ template }) => template ?? [])).size;
        const countBy = (name: (one: Candidate) => string | null) =>
          [...Map.groupBy(pairs, name)].flatMap(([key, group]) => (key === null ? [] : [group.length]));
        const largest = (counts: number[]) => Math.max(0, ...counts);
        expect(largest(countBy(({ image }) => image))).toBeLessThanOrEqual(policy.pairsPerImage);
        expect(largest(countBy(({ template }) => template))).toBeLessThanOrEqual(
          templateCap(size, templates, policy.templateCapShare),
        );
        const texts = countBy(({ image, template, spanFrom, spanTo }) =>
          spanFrom === null || spanTo === null ? null : [image, template, spanFrom, spanTo].join("|"),
        );
        const repeated = texts.reduce((sum, count) => sum + count - 1, 0);
        expect(repeated).toBeLessThanOrEqual(policy.duplicateShareMax * size);
        for (const [, ofTask] of Map.groupBy(pairs, ({ region }) => region.split("/")[0])) {
          const saying = (polarity: string) => ofTask.filter((one) => one.polarity === polarity).length;
          expect(Math.abs(saying("yes") - saying("no"))).toBeLessThanOrEqual(POLARITY_SLACK_PAIRS);
        }
        if (found.n >= BLIND_MIN_PAIRS) expect(found.accuracy).toBeLessThanOrEqual(policy.blindAccuracyMax);
      }),
      { numRuns: 200 },
    );
  });

  test("the first candidates are taken, others only in place of those that a cap leaves out", () => {
    const shown = many(6, (i) => pair(`${i}`, { image: i < 4 ? "same" : `own ${i}` }));
    const { pairs, leftOut } = selectPairs([headOf(shown, 4)], { ...POLICY, pairsPerImage: 2 });
    expect(pairs.map(({ id }) => id)).toEqual(["0", "1", "4", "5"]);
    expect(leftOut.capped).toBe(2);
  });

  test("siblings come along before strangers that stand nearer to the front", () => {
    const level3 = [pair("a3", { sourceId: "a" })];
    const level4 = [pair("x4"), pair("y4"), pair("a4", { sourceId: "a" })];
    const { pairs } = selectPairs([headOf(level3), headOf(level4, 2)], POLICY);
    expect(pairs.map(({ id }) => id).sort()).toEqual(["a3", "a4", "x4"]);
  });

  test("what says the same as another is left out", () => {
    const same = many(5, (i) => pair(`${i}`, { image: "i", template: "how many", spanFrom: "two", spanTo: "three" }));
    const { pairs, leftOut } = selectPairs([headOf(same)], POLICY);
    expect(pairs).toHaveLength(1);
    expect(leftOut.duplicate).toBe(4);
  });
});
