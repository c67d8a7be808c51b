import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sigmoid } from "../../shared/hardness/ability.ts";
import { foretoldMass, reportOffset, withReports } from "../../shared/hardness/reports.ts";

const real = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const reported = fc.record({
  failures: real(0, 200),
  exposures: real(0, 200),
  abilityMean: real(-6, 6),
  abilityVar: real(0.01, 2),
  failureMass: real(0, 40),
});
const region = (failures: number, exposures: number, abilityMean = 0) => ({
  failures,
  exposures,
  abilityMean,
  abilityVar: 1,
  failureMass: 1,
});

describe("reports as evidence", () => {
  test("find how hard clients' questions are", () => {
    for (const offset of [-2, -0.5, 1]) {
      const regions = [-1, 0, 2].map((mean) => region(1_000 * sigmoid(offset - mean), 1_000, mean));
      expect(reportOffset(regions)).toBeCloseTo(offset, 1);
    }
  });

  test("of nothing leave every belief as it is", () => {
    expect(reportOffset([region(0, 0)])).toBe(-0.5);
    expect(withReports(region(0, 0, 1.5), 0)).toEqual({ mean: 1.5, variance: 1 });
  });

  test("lower a belief where more failed than foretold, raise it where less did, and make it surer", () => {
    fc.assert(
      fc.property(reported, real(-3, 3), (one, offset) => {
        const tried = Math.max(one.failures, one.exposures);
        fc.pre(tried > 0.1);
        const { mean, variance } = withReports(one, offset);
        const surplus = one.failures - tried * sigmoid(offset - one.abilityMean);
        expect(Math.sign(one.abilityMean - mean) * Math.sign(surplus)).toBeGreaterThanOrEqual(0);
        expect(variance).toBeLessThanOrEqual(one.abilityVar);
      }),
    );
  });

  test("never take more from the mass than was kept of it, and nothing where there were none", () => {
    fc.assert(
      fc.property(reported, real(-3, 3), real(0, 1), (one, offset, decay) => {
        const ability = withReports(one, offset);
        expect(foretoldMass(one, ability, offset, { decay })).toBeGreaterThanOrEqual(-decay * one.failureMass);
        const unseen = { ...one, failures: 0, exposures: 0 };
        expect(foretoldMass(unseen, ability, offset, { decay })).toBe(0);
      }),
    );
  });

  test("draw a rate to what ability foretells, the more so the fewer they are", () => {
    const ability = { mean: 0, variance: 1 };
    const drawn = (n: number) => foretoldMass(region(0, n), ability, 0, { decay: 0.8 }) / n;
    expect(drawn(5)).toBeGreaterThan(drawn(50));
    expect(drawn(50)).toBeGreaterThan(0);
    expect(foretoldMass(region(50, 50), ability, 0, { decay: 0.8 })).toBeLessThan(0);
  });
});
