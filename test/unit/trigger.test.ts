import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { expectedFixes, type RoundChance, roundDue } from "../../shared/hardness/trigger.ts";

const DAY = 86_400_000;
const { batch: BATCH, training: TRAINING, scheduler: SCHEDULER } = DEFAULT_POLICY;
const QUIET: RoundChance = { ready: 500, lastRoundAt: 0, now: DAY, fixes: 0, demand: false };

function due(chance: Partial<RoundChance>) {
  return roundDue({ ...QUIET, ...chance }, DEFAULT_POLICY);
}

describe("a round", () => {
  test("starts with enough pairs, with enough to fix, after long enough, or when it is asked for", () => {
    expect(due({}).start).toBe(false);
    expect(due({ ready: BATCH.startPairs }).start).toBe(true);
    expect(due({ fixes: BATCH.startFixes }).start).toBe(true);
    expect(due({ now: BATCH.startAfterDays * DAY }).start).toBe(true);
    expect(due({ lastRoundAt: null }).start).toBe(true);
    expect(due({ ready: 1, demand: true }).start).toBe(true);
  });

  test("does not start by itself with a handful of pairs, though it is overdue and there is much to fix", () => {
    const few = due({ ready: TRAINING.minPairs - 1, lastRoundAt: null, fixes: 1_000 });
    expect(few.start).toBe(false);
    expect(few.reason).toContain("no round yet");
    expect(few.reason).toContain(`${TRAINING.minPairs - 1} pairs`);
  });

  test("never starts without a pair, and says why in a sentence with its numbers", () => {
    const chance = fc.record({
      ready: fc.nat(5_000),
      lastRoundAt: fc.option(fc.nat(30 * DAY)),
      now: fc.integer({ min: 30 * DAY, max: 60 * DAY }),
      fixes: fc.double({ min: 0, max: 100, noNaN: true }),
      demand: fc.boolean(),
    });
    fc.assert(
      fc.property(chance, (one) => {
        const { start, reason } = roundDue(one, DEFAULT_POLICY);
        expect(reason).toMatch(/^[A-Z0-9].*\.$/);
        if (one.ready === 0) expect(start).toBe(false);
        else expect(reason).toContain(String(one.ready));
        if (one.demand && one.ready > 0) expect(start).toBe(true);
        if (!one.demand && one.ready < TRAINING.minPairs) expect(start).toBe(false);
      }),
    );
  });

  test("that starts also starts with more pairs and with more to fix", () => {
    fc.assert(
      fc.property(fc.nat(3_000), fc.nat(3_000), fc.nat(40), fc.nat(40), (ready, more, fixes, other) => {
        if (due({ ready, fixes }).start) expect(due({ ready: ready + more, fixes: fixes + other }).start).toBe(true);
      }),
    );
  });
});

describe("the failures that training is expected to avoid", () => {
  const waiting = fc.record({
    failureMass: fc.double({ min: 0, max: 100, noNaN: true }),
    gain: fc.double({ min: 0, max: 1, noNaN: true }),
    backlog: fc.nat(10_000),
  });

  test("are none without pairs, never more than there are, and grow with the backlog", () => {
    expect(expectedFixes([{ failureMass: 9, gain: 1, backlog: 0 }], SCHEDULER)).toBe(0);
    fc.assert(
      fc.property(waiting, fc.nat(1_000), (region, more) => {
        const fixes = expectedFixes([region], SCHEDULER);
        expect(fixes).toBeGreaterThanOrEqual(0);
        expect(fixes).toBeLessThanOrEqual(region.failureMass);
        expect(expectedFixes([{ ...region, backlog: region.backlog + more }], SCHEDULER)).toBeGreaterThanOrEqual(fixes);
      }),
    );
  });

  test("are the sum of what each next pair is worth to a plan", () => {
    const scale = SCHEDULER.backlogScalePairs;
    const pairs = Array.from({ length: 100 }, (_, ahead) => (2 * 0.5 * Math.exp(-(ahead + 0.5) / scale)) / scale);
    const sum = pairs.reduce((total, worth) => total + worth, 0);
    expect(expectedFixes([{ failureMass: 2, gain: 0.5, backlog: 100 }], SCHEDULER)).toBeCloseTo(sum, 4);
  });
});
