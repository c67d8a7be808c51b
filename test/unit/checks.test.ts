import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkEdit, type RefusalReason } from "../../shared/edits/index.ts";
import type { ErrorType } from "../../shared/taxonomy/taxonomy.ts";

const judged = (answer: string, rejected: string, errorType: ErrorType, language = "en") =>
  checkEdit({ question: "?", answer, rejected, task: "other", errorType, level: 2, language });

const GOOD: readonly (readonly [ErrorType, string, string])[] = [
  ["count-near", "There are two yellow circles.", "There is one yellow circle."],
  ["count-near", "There is one object.", "There are no objects."],
  ["count-near", "There are 3 dogs", "There are 4 dogs."],
  ["count-far", "There are three dogs in the park.", "There are seven dogs in the park."],
  ["attribute", "The biggest object is yellow.", "The biggest object is black."],
  ["attribute", "The dog is asleep.", "The dog is awake."],
  ["attribute-swap", "A red cup and a blue plate.", "A blue cup and a red plate."],
  ["identity", "The object at the top is a circle.", "The object at the top is a square."],
  ["position-inversion", "The cup is left of the plate.", "The cup is right of the plate."],
  ["position-inversion", "It is in the top-left corner.", "It is in the bottom-left corner."],
  ["role-swap", "The dog is chasing the cat.", "The cat is chasing the dog."],
  ["comparison-inversion", "There are more cats than dogs.", "There are as many cats as dogs."],
  ["negation", "Yes, there is a black square.", "No, there is no black square."],
  ["negation", "The man is standing.", "The man is not standing."],
  ["existence-add", "There is a cup on the table.", "There is a cup and a fork on the table."],
  ["existence-omit", "There is a cup and a fork on the table.", "There is a cup on the table."],
  ["action", "A man is walking on the beach.", "A man is running on the beach."],
  ["temporal-order", "He sits before he eats.", "He sits after he eats."],
  ["text-misread", "The sign says 'STOP' in red.", "The sign says 'SHOP' in red."],
  ["language-slip", "Собака сидит на стуле.", "Собака sits на стуле."],
];

const BAD: readonly (readonly [RefusalReason, ErrorType, string, string])[] = [
  ["form.empty", "attribute", "It is red.", " … "],
  ["form.identical", "attribute", "The car is red.", "the car,  is RED"],
  ["form.language", "count-near", "There are three dogs.", "There are два dogs."],
  ["form.language", "attribute", "The car on the road is red.", "Das Auto dort ist blau."],
  ["form.hedging", "attribute", "The car is red.", "The car is perhaps blue."],
  ["form.hedging", "count-near", "There are three dogs.", "There might be two dogs."],
  ["form.format", "count-near", "There are three dogs.", "There are 2 dogs."],
  ["form.format", "attribute", "The car is red.", "The car is blue?"],
  ["form.format", "attribute", "The car is red and the bus is blue.", "- The car is red\n- The bus is green"],
  ["form.format", "attribute", "The car is red.", '{"rejected": "The car is blue."}'],
  ["form.format", "attribute", "The car is red.", "The car is **blue**."],
  ["form.agreement", "count-near", "There is one dog here.", "There is two dogs here."],
  ["form.agreement", "count-near", "There are two dogs here.", "There are one dog here."],
  ["form.agreement", "count-far", "It is one dog.", "It is three dogs."],
  ["nearness.distance", "attribute", "Yellow.", "Black."],
  ["nearness.distance", "identity", "It is a dog on a chair.", "Some cats sleep on a sofa."],
  [
    "nearness.length",
    "attribute",
    "The old car beside the house at the end of the road is red.",
    "The old car beside the house at the end of the road is blue with two broad white stripes.",
  ],
  [
    "nearness.spans",
    "attribute",
    "The car is red, the bus is blue, the van is green and the truck is white.",
    "The car is black, the bus is pink, the van is brown and the truck is grey.",
  ],
  ["aim.type", "count-near", "There are two dogs in the park.", "There are two cats in the park."],
  ["aim.type", "count-near", "There are two dogs in the park.", "There are five dogs in the park."],
  ["aim.type", "count-far", "There are two dogs in the park.", "There are three dogs in the park."],
  ["aim.type", "attribute", "The biggest object is yellow.", "The biggest object is left."],
  ["aim.type", "attribute", "There are two dogs in the park.", "There are three dogs in the park."],
  ["aim.type", "identity", "The biggest object is yellow.", "The biggest object is black."],
  ["aim.type", "position-inversion", "The cup is on the red plate.", "The cup is on the blue plate."],
  ["aim.type", "comparison-inversion", "There are more cats than dogs.", "There are more cats than birds."],
  ["aim.type", "negation", "Yes, there is a black square.", "Yes, there is a black circle."],
  ["aim.type", "role-swap", "The dog is chasing the cat.", "The dog is chasing the bird."],
  ["aim.type", "attribute-swap", "There are two dogs here.", "There is one dog here."],
  ["aim.type", "existence-add", "There is a cup on the table.", "There is one cup on the table."],
  ["aim.type", "temporal-order", "He sits before he eats.", "He stands before he eats."],
  ["rule.still-true", "attribute", "The car is large.", "The car is big."],
  ["rule.still-true", "attribute", "The car is gray.", "The car is grey."],
  ["rule.still-true", "role-swap", "The cup is left of the plate.", "The plate is right of the cup."],
  ["rule.still-true", "role-swap", "There are more cats than dogs.", "There are fewer dogs than cats."],
  ["rule.still-true", "role-swap", "There are as many cats as dogs.", "There are as many dogs as cats."],
  ["rule.still-true", "negation", "Yes, there is a black square.", "There is a black square."],
  ["rule.still-true", "negation", "There is no dog here.", "There is not a dog here."],
  ["rule.contradiction", "negation", "Yes, there is a black square.", "No, there is a black square."],
  ["rule.contradiction", "negation", "Yes, there is a black square.", "Yes, there is no black square."],
];

describe("the ladder", () => {
  test.each(GOOD)("lets a good %s pass: %j -> %j", (errorType, answer, rejected) => {
    expect(judged(answer, rejected, errorType)).toMatchObject({ ok: true });
  });

  test.each(BAD)("says %s to a bad %s: %j -> %j", (reason, errorType, answer, rejected) => {
    expect(judged(answer, rejected, errorType)).toMatchObject({
      ok: false,
      reason,
      message: expect.stringMatching(/\w.*\.$/),
    });
  });

  test("counts words that only agree with a changed number as unchanged", () => {
    expect(judged("There are three objects.", "There is one object.", "count-far")).toMatchObject({
      ok: true,
      distance: 1,
    });
    expect(judged("There are three objects.", "There is one object.", "count-far", "und")).toMatchObject({
      reason: "nearness.distance",
    });
  });

  test("tells what changed, and where", () => {
    expect(judged("The cup is left of the plate.", "The cup is right of the plate.", "position-inversion")).toEqual({
      ok: true,
      distance: 1,
      spans: [{ at: 3, from: ["left"], to: ["right"] }],
    });
  });

  test("never lets the same words pass, whatever their case and punctuation", () => {
    const words = fc.array(fc.constantFrom("the", "Dog", "is", "two", "RED"), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(words, fc.constantFrom(" ", ", ", "  "), (said, gap) => {
        expect(judged(said.join(" "), said.join(gap).toLowerCase(), "attribute")).toMatchObject({
          reason: "form.identical",
        });
      }),
    );
  });

  test("decides about any two texts", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (answer, rejected) => {
        const outcome = judged(answer, rejected, "identity");
        if (outcome.ok) expect(outcome.distance).toBeGreaterThan(0);
      }),
    );
  });
});

/** SugarCrepe's files, with the error types that a person would give their negatives. */
const SUGARCREPE: Readonly<Record<string, readonly ErrorType[]>> = {
  add_att: ["attribute", "existence-add"],
  add_obj: ["existence-add"],
  replace_att: ["attribute", "count-near", "count-far"],
  replace_obj: ["identity"],
  replace_rel: ["position-inversion", "action", "negation"],
  swap_att: ["attribute-swap"],
  swap_obj: ["role-swap"],
};
const FOLDER = fileURLToPath(String(new URL("../../../shared/data/sugarcrepe", import.meta.url)));

describe("human-checked near misses (SugarCrepe)", () => {
  test("pass the ladder, 95 of 100 at least in every file", (context) => {
    if (!existsSync(FOLDER)) context.skip("../shared/data/sugarcrepe is not there");
    const shares = Object.entries(SUGARCREPE).map(([file, types]) => {
      const lines = readFileSync(`${FOLDER}/${file}.jsonl`, "utf8").trim().split("\n");
      const pairs = lines.map((line) => JSON.parse(line) as { caption: string; negative_caption: string });
      const passed = pairs.filter((pair) => types.some((type) => judged(pair.caption, pair.negative_caption, type).ok));
      return { file, negatives: pairs.length, passed: passed.length, share: passed.length / pairs.length };
    });
    console.table(shares);
    for (const { file, share } of shares) expect(share, file).toBeGreaterThanOrEqual(0.95);
  });
});
