import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../shared/hardness/canonical.ts";

/** The same value with the members of every object in reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  );
}

describe("canonical JSON", () => {
  test("is JSON that reads back as the same value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test("spells a value one way, whatever the order of its members", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value));
      }),
    );
  });

  test("survives being read and written again", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });

  test("tells different values apart", () => {
    expect(canonicalJson({ a: 1, b: [2] })).not.toBe(canonicalJson({ a: [1], b: 2 }));
    expect(canonicalJson(["1"])).not.toBe(canonicalJson([1]));
  });

  test("writes what has two spellings in one", () => {
    expect(canonicalJson({ b: -0, a: 1e21, "10": "ü", "9": undefined })).toBe('{"10":"ü","a":1e+21,"b":0}');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, undefined, 1n, Symbol("s"), () => 1, [undefined]])(
    "refuses %s",
    (value) => expect(() => canonicalJson({ value: [value] })).toThrow(TypeError),
  );
});
