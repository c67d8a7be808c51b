import fc from "fast-check";
import { expect, test } from "vitest";
import { judge, polarityOf, sameAnswer } from "../../workers/ingest/judge.ts";

const response = "There are two dogs.";

test.each([
  [{ response }, "unjudged", null],
  [{ response, rating: "up" }, "right", response],
  [{ response, rating: "down" }, "wrong", null],
  [{ response, reference: "Three dogs." }, "wrong", "Three dogs."],
  [{ response, reference: "there are two  dogs" }, "right", "there are two  dogs"],
  [{ response, correction: "Three.", reference: response }, "wrong", "Three."],
  [{ response, correction: response, reference: "Three." }, "right", response],
  [{ response, rating: "down", correction: "Three." }, "wrong", "Three."],
  [{ response, rating: "up", reference: response }, "right", response],
] as const)("%o is %s", (event, verdict, answer) => {
  expect(judge(event)).toEqual({ verdict, answer });
});

test("a rating that contradicts the right answer is a problem of the rating", () => {
  for (const event of [
    { response, rating: "up", reference: "Three." },
    { response, rating: "up", correction: "Three." },
    { response, rating: "down", reference: "THERE ARE TWO DOGS" },
  ] as const) {
    expect(judge(event)).toEqual({ problem: { path: "rating", message: expect.stringMatching(/right answer/) } });
  }
});

test("answers are the same apart from case, spacing, composition and the closing mark, and in nothing else", () => {
  for (const [a, b] of [
    ["Yes", " yes. "],
    ["two\ndogs", "Two dogs!"],
    ["caf\u00e9", "cafe\u0301"],
    ["二匹", "二匹。"],
  ] as const) {
    expect(sameAnswer(a, b), `${a} / ${b}`).toBe(true);
  }
  for (const [a, b] of [
    ["2", "²"],
    ["two dogs", "twodogs"],
    ["yes", "yes?"],
    [".", "!"],
    ["resume", "résumé"],
    ["1.5", "15"],
  ] as const) {
    expect(sameAnswer(a, b), `${a} / ${b}`).toBe(false);
  }
});

test("sameness is an equivalence that its own ornaments do not break", () => {
  const word = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => /\p{L}/u.test(text));
  fc.assert(
    fc.property(word, (text) => {
      expect(sameAnswer(text, text)).toBe(true);
      expect(sameAnswer(text, `  ${text} .`)).toBe(true);
      expect(sameAnswer(`${text}.`, `${text}. !`)).toBe(true);
      expect(sameAnswer(text, `${text}x`)).toBe(false);
    }),
  );
});

test("a text of nothing but marks is compared in linear time", () => {
  const marks = "!".repeat(32_000);
  const startedAt = performance.now();
  for (let i = 0; i < 30; i++) expect(sameAnswer(`${marks}x${i}`, marks)).toBe(false);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});

test.each([
  ["Yes.", "en", "yes"],
  ["no, there is none", "en-gb", "no"],
  ["  «Yes» it is", "en", "yes"],
  ["No", "es", null],
  ["No", "und", null],
  ["No", "enm", null],
  ["Nobody", "en", null],
  ["yes-man", "en", null],
  ["no2", "en", null],
  ["There is no dog.", "en", null],
  ["", "en", null],
])("the side of %o in %s is %s", (answer, language, side) => {
  expect(polarityOf(answer, language)).toBe(side);
});
