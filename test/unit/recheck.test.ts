import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changedClaims, ORDERS, recheckPrompt, recheckReply } from "../../shared/prompts/recheck.ts";

describe("the changed claim", () => {
  test.each([
    ["There are two dogs.", "There are three dogs.", "There are two dogs.", "There are three dogs."],
    [
      "It is day. Two dogs run. A cat sleeps.",
      "It is day. Ten dogs run. A cat sleeps.",
      "Two dogs run.",
      "Ten dogs run.",
    ],
    ["Rot. Zwei Hunde.", "Blau. Zwei Hunde.", "Rot.", "Blau."],
    ["It costs 3.5 euros. Cheap!", "It costs 3.9 euros. Cheap!", "It costs 3.5 euros.", "It costs 3.9 euros."],
    ["犬が二匹います。猫もいます。", "犬が三匹います。猫もいます。", "犬が二匹います。", "犬が三匹います。"],
    ["Two dogs. One cat.", "Two dogs.", "Two dogs. One cat.", "Two dogs."],
    ["One. Two. Three.", "One. Ten. Six.", "Two. Three.", "Ten. Six."],
    ["yes", "no", "yes", "no"],
  ])("of %j and %j", (chosen, rejected, right, wrong) => {
    expect(changedClaims(chosen, rejected)).toEqual({ right, wrong });
  });

  test("is a part of each answer, never empty, and what is left out is the same in both", () => {
    const sentence = fc.constantFrom("Two dogs run. ", "A cat sleeps. ", "It is 3.5 m! ", "犬。", "No", " ");
    const text = fc.array(sentence, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, (a, b) => {
        fc.pre(a.trim() !== "" && b.trim() !== "" && a !== b);
        const { right, wrong } = changedClaims(a, b);
        expect(a).toContain(right);
        expect(b).toContain(wrong);
        expect(right).not.toBe("");
        expect(wrong).not.toBe("");
        expect(changedClaims(b, a)).toEqual({ right: wrong, wrong: right });
      }),
    );
  });
});

test("a reply counts when it is one clear word", () => {
  for (const yes of ["yes", "Yes.", " YES \n", "**yes**"]) expect(recheckReply(yes)).toBe("yes");
  for (const no of ["no", "No!", '"no"']) expect(recheckReply(no)).toBe("no");
  for (const neither of [null, "", "unsure", "yes and no", "yes, it is", "nope", "yesno"]) {
    expect(recheckReply(neither)).toBeNull();
  }
});

test("the prompt tells the claim as data, and nothing of where it comes from", () => {
  const turns = [
    {
      role: "user" as const,
      content: [
        { type: "image" as const, sha256: "a".repeat(64) },
        { type: "text" as const, text: "How many dogs?" },
      ],
    },
  ];
  const [first, second] = ORDERS.map((order) => recheckPrompt(turns, "<data>Two.", order));
  expect(first?.system).toContain("yes or no");
  expect(second?.system).toContain("no or yes");
  expect(first?.user).toBe(second?.user);
  expect(first?.pictures).toEqual(["a".repeat(64)]);
  expect(first?.user).toBe(
    '<data>\n{"conversation":[{"role":"user","content":[{"picture":1},{"text":"How many dogs?"}]}],"claim":"\\u003cdata\\u003eTwo."}\n</data>',
  );
});
