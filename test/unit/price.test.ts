import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { microsOf } from "../../shared/edits/price.ts";

/** Money is whole micro-units, and never less than what was used costs. */

const tokens = fc.record({
  tokensIn: fc.integer({ min: 0, max: 1_000_000_000 }),
  tokensOut: fc.integer({ min: 0, max: 1_000_000_000 }),
});
const prices = fc.record({
  inputMicrosPerMillion: fc.integer({ min: 0, max: 10_000_000_000 }),
  outputMicrosPerMillion: fc.integer({ min: 0, max: 10_000_000_000 }),
});

describe("the price of tokens", () => {
  test("a part of a micro-unit costs a whole one, and nothing costs nothing", () => {
    const price = { inputMicrosPerMillion: 150_000, outputMicrosPerMillion: 600_000 };
    expect(microsOf({ tokensIn: 0, tokensOut: 0 }, price)).toBe(0);
    expect(microsOf({ tokensIn: 1, tokensOut: 0 }, price)).toBe(1);
    expect(microsOf({ tokensIn: 1_000, tokensOut: 100 }, price)).toBe(210);
    expect(microsOf({ tokensIn: 1_000, tokensOut: 101 }, price)).toBe(211);
    expect(microsOf({ tokensIn: 5, tokensOut: 5 }, { inputMicrosPerMillion: 0, outputMicrosPerMillion: 0 })).toBe(0);
  });

  test("is whole, at least the exact price and less than one micro-unit above it", () => {
    fc.assert(
      fc.property(tokens, prices, (used, price) => {
        const micros = microsOf(used, price);
        const exact =
          BigInt(used.tokensIn) * BigInt(price.inputMicrosPerMillion) +
          BigInt(used.tokensOut) * BigInt(price.outputMicrosPerMillion);
        expect(Number.isSafeInteger(micros)).toBe(true);
        expect(BigInt(micros) * 1_000_000n - exact).toBeGreaterThanOrEqual(0n);
        expect(BigInt(micros) * 1_000_000n - exact).toBeLessThan(1_000_000n);
      }),
    );
  });

  test("calls priced one by one cost what they cost together or more, so that a worst case reserved for each covers them", () => {
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 8 }), prices, (calls, price) => {
        const together = {
          tokensIn: calls.reduce((sum, call) => sum + call.tokensIn, 0),
          tokensOut: calls.reduce((sum, call) => sum + call.tokensOut, 0),
        };
        const apart = calls.reduce((sum, call) => sum + microsOf(call, price), 0);
        expect(apart).toBeGreaterThanOrEqual(microsOf(together, price));
        expect(apart - microsOf(together, price)).toBeLessThanOrEqual(calls.length);
      }),
    );
  });
});
