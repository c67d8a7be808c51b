import { expect, it } from "vitest";
import { fuzzIntake } from "../../scripts/fuzz/intake.ts";
import { ROOT, temporaryFolder } from "./support.ts";

const CASES = 2_000;

it(`answers ${CASES} well-made and spoilt requests as documented, and stores what it says and nothing else`, async () => {
  const report = await fuzzIntake({ root: ROOT, state: temporaryFolder(), cases: CASES, seed: 1 }, () => {});
  expect(report.violation).toBeNull();
  expect(report.cases).toBe(CASES);
  // It was a test at all: requests were taken and refused, for more than one reason.
  expect(report.stored).toBeGreaterThan(CASES / 4);
  for (const operation of ["submitFailures", "submitPairs"]) {
    const statuses = Object.keys(report.answers[operation] ?? {});
    expect(statuses, operation).toEqual(expect.arrayContaining(["200", "400", "401", "413", "415"]));
  }
  expect(Object.keys(report.answers.putImage ?? {})).toEqual(expect.arrayContaining(["200", "201", "415", "422"]));
});
