import { expect, it } from "vitest";
import { crash } from "../../scripts/crash/crash.ts";

const KILLS = 25;

it(`stores every acknowledged event exactly once, whatever is retried and killed: ${KILLS} kills`, async () => {
  const report = await crash(KILLS, 0, () => {});
  console.log(JSON.stringify(report));
  expect(report.problems).toEqual([]);
  expect(report.waiting).toBe(0);
  expect(report.stored).toBe(report.events);
  // It was a test at all: the kills hit requests, and what they cut off was sent again.
  expect(report.killsUnderLoad).toBeGreaterThan(KILLS / 2);
  expect(report.retries).toBeGreaterThan(report.kills);
  expect(report.duplicates).toBeGreaterThan(0);
  expect(report.failed).toBe(0);
});
