import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../shared/hardness/canonical.ts";
import { comparePlans } from "../../shared/hardness/compare.ts";
import { packNumbers, unpackNumbers } from "../../shared/hardness/packed.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { decodeInputs, encodeInputs, encodePlan, FORMAT } from "../../shared/hardness/record.ts";
import type { PlanInputs } from "../../shared/hardness/state.ts";
import { funds, inputsOf, plan, policies, region, regionSet } from "./plan-inputs.ts";

const inputs: fc.Arbitrary<PlanInputs> = fc
  .tuple(regionSet, policies, funds, fc.nat(), fc.nat())
  .map(([regions, policy, left, at, seed]) =>
    inputsOf(regions, policy, { funds: left, at, seed, difficulties: { attribute: [-1.25, -0.5, 0.1, 1.5] } }),
  );
const byKey = ({ regions, ...rest }: PlanInputs) => ({
  ...rest,
  regions: [...regions].sort((a, b) => (a.key < b.key ? -1 : 1)),
});

describe("stored inputs", () => {
  test("read back as what they were", () => {
    fc.assert(
      fc.property(inputs, (given) => {
        expect(decodeInputs(encodeInputs(given))).toEqual(byKey(given));
      }),
    );
  });

  test("are the same bytes in whatever order regions and members come", () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const { regions, difficulties, policy, ...rest } = given;
        const backwards = (value: object) => Object.fromEntries(Object.entries(value).reverse());
        const other = {
          regions: [...regions].reverse().map(backwards),
          policy: backwards(policy),
          difficulties: backwards(difficulties),
          ...backwards(rest),
        } as unknown as PlanInputs;
        expect(encodeInputs(other)).toBe(encodeInputs(given));
      }),
    );
  });

  test("survive being read and written again, and make the same plan", () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const read = decodeInputs(encodeInputs(given));
        expect(encodeInputs(read)).toBe(encodeInputs(given));
        expect(encodePlan(makePlan(read))).toBe(encodePlan(makePlan(given)));
      }),
    );
  });

  test("tell different inputs apart", () => {
    const given = inputsOf([region("object", "identity", { abilityMean: 0.1 })]);
    const other = inputsOf([region("object", "identity", { abilityMean: 0.1 + 2 ** -54 })]);
    expect(encodeInputs(other)).not.toBe(encodeInputs(given));
    expect(encodeInputs({ ...given, seed: 2 })).not.toBe(encodeInputs(given));
  });

  test("name each column once, and are a third of plain JSON", () => {
    const many = Array.from({ length: 200 }, (_, i) =>
      region("object", "identity", { language: `l${i}`, failures: i / 7, abilityMean: Math.sin(i) }),
    );
    const text = encodeInputs(inputsOf(many));
    expect(text.split("abilityMean")).toHaveLength(2);
    expect(text.length).toBeLessThan(canonicalJson(inputsOf(many)).length / 3);
  });

  test.each([
    ["{}", 'format "unknown"'],
    ["null", 'format "unknown"'],
    ['{"format":1,"regions":[]}', "format 1"],
    [canonicalJson(inputsOf([])), 'format "unknown"'],
    ["a plan", "no JSON"],
  ])("of another format are refused: %s", (text, reason) => {
    expect(() => decodeInputs(text)).toThrow(reason);
    expect(() => decodeInputs(text)).toThrow(RangeError);
  });

  test("with a column of another length are refused", () => {
    const text = encodeInputs(inputsOf([region("object", "identity"), region("counting", "count-near")]));
    expect(JSON.parse(text).format).toBe(FORMAT);
    expect(() => decodeInputs(text.replace('"backlog":[0,0]', '"backlog":[0]'))).toThrow("1 numbers where 2 are due");
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("with %s are not written", (failures) => {
    expect(() => encodeInputs(inputsOf([region("object", "identity", { failures })]))).toThrow(TypeError);
  });
});

describe("packed numbers", () => {
  test("keep every bit", () => {
    fc.assert(
      fc.property(fc.float64Array({ noNaN: true }), (numbers) => {
        expect(unpackNumbers(packNumbers(numbers))).toEqual(numbers);
      }),
    );
  });

  test("are base64 of little-endian doubles", () => {
    expect(packNumbers(Float64Array.of(1, -2.5))).toBe("AAAAAAAA8D8AAAAAAAAEwA==");
  });

  test.each(["A", "AAAA", "AAAAAAAA8D8", "AAAA*AAA8D8="])("refuse %s", (text) => {
    expect(() => unpackNumbers(text)).toThrow(RangeError);
  });
});

describe("two plans", () => {
  const plans = fc
    .tuple(regionSet, policies, policies)
    .map(([regions, a, b]) => [plan(regions, a), plan(regions, b)] as const);

  test("that are the same have moved nothing", () => {
    fc.assert(
      fc.property(plans, ([made]) => {
        const { moved, regions } = comparePlans(made, made);
        expect(moved).toBe(0);
        expect(regions.every((r) => r.pairsBefore === r.pairsAfter && r.levelBefore === r.levelAfter)).toBe(true);
      }),
    );
  });

  test("have moved as much from one to the other as back, a share of the plan, and every pair is accounted for", () => {
    fc.assert(
      fc.property(plans, ([before, after]) => {
        const there = comparePlans(before, after);
        expect(there.moved).toBeCloseTo(comparePlans(after, before).moved, 12);
        expect(there.moved).toBeGreaterThanOrEqual(0);
        expect(there.moved).toBeLessThanOrEqual(1);
        expect(there.regions.reduce((sum, r) => sum + r.pairsBefore, 0)).toBe(before.planned);
        expect(there.regions.reduce((sum, r) => sum + r.pairsAfter, 0)).toBe(after.planned);
        const changes = there.regions.map((r) => Math.abs(r.pairsAfter - r.pairsBefore));
        expect(changes).toEqual([...changes].sort((a, b) => b - a));
      }),
    );
  });

  test("without a common region have moved everything", () => {
    const [a, b] = [plan([region("object", "identity")]), plan([region("counting", "count-near")])];
    expect(comparePlans(a, b)).toEqual({
      moved: 1,
      regions: [
        { region: "counting/count-near/en/image", pairsBefore: 0, pairsAfter: 750, levelBefore: null, levelAfter: 3 },
        { region: "object/identity/en/image", pairsBefore: 750, pairsAfter: 0, levelBefore: 2, levelAfter: null },
      ],
    });
  });
});
