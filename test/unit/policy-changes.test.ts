import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { editedPolicy, fieldsBelow, parseAssignment } from "../../scripts/policy-edit.ts";
import { DEFAULT_POLICY, type PolicyDocument, policyDocument } from "../../shared/contracts/policy.ts";
import { allowedText } from "../../shared/policy/allowed.ts";
import { changesBetween } from "../../shared/policy/changes.ts";
import { policyFields } from "../../shared/policy/fields.ts";
import { changedRegions, previewSentence } from "../../shared/policy/preview.ts";

/** Never -0, which JSON does not know. */
const plus = (x: number) => x + 0;
const share = fc.double({ min: 0, max: 1, noNaN: true }).map(plus);
const someShares = ["scheduler.capShare", "batch.againShare", "pairs.flipPrior", "gate.guardEpsilon"];

/** Valid documents that differ in some fields of many kinds. */
const policies: fc.Arbitrary<PolicyDocument> = fc
  .record({
    shares: fc.dictionary(fc.constantFrom(...someShares), share),
    budgetPairs: fc.integer({ min: 1, max: 100_000 }),
    refusalPrior: fc.tuple(share, share, share, share),
    models: fc.array(fc.string({ minLength: 1, maxLength: 5 }), { maxLength: 3 }),
    wrongRewardMax: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map(plus)),
  })
  .map(({ shares, budgetPairs, refusalPrior, models, wrongRewardMax }) =>
    editedPolicy(DEFAULT_POLICY, [
      ...Object.entries(shares),
      ["scheduler.budgetPairs", budgetPairs],
      ["scheduler.refusalPrior", refusalPrior],
      ["intake.models", models],
      ["intake.wrongRewardMax", wrongRewardMax],
    ]),
  );

describe("the changes between two policies", () => {
  test("made in the one, give the other; and name fields only, each once", () => {
    const paths = policyFields().map(({ path }) => path);
    fc.assert(
      fc.property(policies, policies, (a, b) => {
        const changes = changesBetween(a, b);
        expect(
          editedPolicy(
            a,
            changes.map(({ path, to }) => [path, to] as const),
          ),
        ).toEqual(b);
        expect(paths).toEqual(expect.arrayContaining(changes.map(({ path }) => path)));
        expect(new Set(changes.map(({ path }) => path)).size).toBe(changes.length);
        expect(changesBetween(b, a)).toEqual(changes.map(({ path, from, to }) => ({ path, from: to, to: from })));
        expect(changesBetween(a, structuredClone(a))).toEqual([]);
      }),
    );
  });

  test("take a list as one value, and what is not there as null", () => {
    expect(changesBetween({ a: { b: [1, 2], c: 1 } }, { a: { b: [1, 3], c: 1 }, d: "x" })).toEqual([
      { path: "a.b", from: [1, 2], to: [1, 3] },
      { path: "d", from: null, to: "x" },
    ]);
  });
});

describe("a change as it is typed", () => {
  test.each([
    ["a.b=1", ["a.b", 1]],
    ["a.b=sft", ["a.b", "sft"]],
    ["a.b=", ["a.b", ""]],
    ["a.b=x=y", ["a.b", "x=y"]],
    ['a.b=["x"]', ["a.b", ["x"]]],
    ["a.b=null", ["a.b", null]],
  ])("%s", (text, assignment) => {
    expect(parseAssignment(text)).toEqual(assignment);
  });

  test.each(["a.b", "=1", ""])("is not %j", (text) => {
    expect(() => parseAssignment(text)).toThrow("path=value");
  });

  test.each([
    ["training.beta=-1", /^training\.beta: .*; it takes a number, above 0 and at most 10$/],
    ["scheduler.budgetPairs=1.5", /^scheduler\.budgetPairs: .*; it takes a whole number from 1 to 100000 \(pairs\)$/],
    ["training.objective=ppo", /^training\.objective: .*; it takes dpo or sft$/],
    ["scheduler.refusalPrior.1=2", /^scheduler\.refusalPrior\.1: .*; it takes a list of 4, each a number from 0 to 1/],
    ['scheduler.staircase=["a"]', /^scheduler\.staircase\.0: must be task\/error/],
    ["training.betta=1", /^there is no training\.betta in the policy, but .*training\.beta/],
    ["trainer.beta=1", /^there is no trainer\.beta in the policy, but scheduler, spending/],
    ["training.beta.x=1", /^there is no training\.beta\.x/],
    ["__proto__.toString=1", /^there is no __proto__\.toString/],
  ])("%s is refused with the field, the reason and what it takes", (text, message) => {
    expect(() => editedPolicy(DEFAULT_POLICY, [parseAssignment(text)])).toThrow(message);
  });

  test("leaves the document that it was made in as it was", () => {
    const before = structuredClone(DEFAULT_POLICY);
    const after = editedPolicy(DEFAULT_POLICY, [["scheduler.budgetPairs", 7]]);
    expect(after).toEqual({ ...before, scheduler: { ...before.scheduler, budgetPairs: 7 } });
    expect(DEFAULT_POLICY).toEqual(before);
  });
});

test("what a field takes is said in words for every field", () => {
  for (const { path, schema } of policyFields()) expect(allowedText(schema), path).toMatch(/\w/);
  const said = (path: string) => fieldsBelow(path).map(({ schema }) => allowedText(schema))[0];
  expect(said("editor.ownAnswerFirst")).toBe("true or false");
  expect(said("intake.wrongRewardMax")).toBe("a number or null");
  expect(said("gate.confidence")).toBe("a number, above 0.5 and below 1");
  expect(said("intake.redactions")).toBe(
    "a list of up to 50, each an object with path, pattern, replacement (optional)",
  );
  expect(() => fieldsBelow("intake.none")).toThrow("there is no intake.none");
  expect(policyDocument.safeParse({ gate: { confidence: 1 } }).success).toBe(false);
});

describe("a preview", () => {
  const plan = (region: string, pairs: readonly [number, number], levels: readonly [number | null, number | null]) => ({
    region,
    pairsBefore: pairs[0],
    pairsAfter: pairs[1],
    levelBefore: levels[0],
    levelAfter: levels[1],
  });

  test("names the regions of which anything changes, those that move most first", () => {
    const plans = [
      plan("same", [5, 5], [2, 2]),
      plan("level", [5, 5], [2, 3]),
      plan("b", [10, 20], [2, 2]),
      plan("a", [20, 10], [2, 2]),
    ];
    const before = new Map([
      ["batch", 30],
      ["same", 4],
    ]);
    const after = new Map([
      ["batch", 10],
      ["same", 4],
    ]);
    const regions = changedRegions(plans, before, after);
    expect(regions.map(({ region }) => region)).toEqual(["batch", "a", "b", "level"]);
    expect(regions[0]).toEqual({ ...plan("batch", [0, 0], [null, null]), quotaBefore: 30, quotaAfter: 10 });
  });

  test("says in one sentence what would change", () => {
    const change = { path: "scheduler.capShare", from: 0.25, to: 0.1 };
    const planned = { before: 30, after: 20 };
    const regions = changedRegions([plan("a", [30, 10], [1, 2]), plan("b", [0, 10], [null, 2])], new Map(), new Map());
    expect(previewSentence({ changes: [change], planned, moved: 0.5, regions })).toBe(
      "The next plan has 20 instead of 30 pairs, 50 % of them elsewhere: more for 1 region, fewer for 1; " +
        "most moves in a: 30 -> 10 pairs, level 1 -> 2.",
    );
    const batch = changedRegions([], new Map([["a", 4]]), new Map([["a", 1]]));
    expect(previewSentence({ changes: [change], planned, moved: 0, regions: batch })).toBe(
      "The next plan stays as it is, and 1 region of the next batch changes; most moves in a: 4 -> 1 of the next batch.",
    );
    expect(previewSentence({ changes: [], planned, moved: 0, regions: [] })).toBe(
      "Nothing differs from the present policy.",
    );
    expect(previewSentence({ changes: [change], planned, moved: 0, regions: [] })).toBe(
      "The next plan and the next batch stay as they are.",
    );
  });
});
