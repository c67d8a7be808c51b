import fc from "fast-check";
import { expect, test } from "vitest";
import { judge, judgePair, polarityOf, ranked, sameAnswer } from "../../workers/ingest/judge.ts";

const response = "There are two dogs.";

type Response = { text: string; reward: number };
const POLICY = { wrongRewardMax: null, pairRewardMin: 0.5, pairRewardGapMin: 0.1 };

test.each([
  [{ response }, "unjudged", null],
  [{ response, rating: "up" }, "right", "response"],
  [{ response, rating: "down" }, "wrong", null],
  [{ response, reference: "Three dogs." }, "wrong", "reference"],
  [{ response, reference: "there are two  dogs" }, "right", "reference"],
  [{ response, correction: "Three.", reference: response }, "wrong", "correction"],
  [{ response, correction: response, reference: "Three." }, "right", "correction"],
  [{ response, rating: "down", correction: "Three." }, "wrong", "correction"],
  [{ response, rating: "up", reference: response }, "right", "reference"],
  [{ response, reward: -5 }, "unjudged", null],
] as const)("%o is %s", (event, verdict, answerAt) => {
  expect(judge(event, POLICY)).toEqual({ verdict, answerAt });
});

test("a rating that contradicts the right answer is a problem of the rating", () => {
  for (const event of [
    { response, rating: "up", reference: "Three." },
    { response, rating: "up", correction: "Three." },
    { response, rating: "down", reference: "THERE ARE TWO DOGS" },
  ] as const) {
    expect(judge(event, POLICY)).toEqual({
      problem: { path: "rating", message: expect.stringMatching(/right answer/) },
    });
  }
});

test("a poor reward makes a response wrong where the policy says so, and nothing makes it right", () => {
  const reward = fc.double({ min: -10, max: 10, noNaN: true });
  fc.assert(
    fc.property(reward, reward, (given, wrongRewardMax) => {
      const verdict = given <= wrongRewardMax ? "wrong" : "unjudged";
      expect(judge({ response, reward: given }, { wrongRewardMax })).toEqual({ verdict, answerAt: null });
    }),
  );
  const told = { response, reward: -1, reference: response };
  expect(judge(told, { wrongRewardMax: 0 }), "what was told is worth more").toMatchObject({ verdict: "right" });
});

test("of a low-reward pair the better response is right when it is good enough, better enough, and says something else", () => {
  const pair = (better: number, worse: number, texts: readonly [string, string] = ["Two.", "Three."]) =>
    judgePair(
      [
        { text: texts[0], reward: better },
        { text: texts[1], reward: worse },
      ],
      POLICY,
    ).answerAt;
  expect(pair(0.9, 0.2)).toBe("better");
  expect(pair(0.5, 0.375)).toBe("better");
  expect(pair(0.49, 0), "not good enough").toBeNull();
  expect(pair(0.9, 0.85), "not better enough").toBeNull();
  expect(pair(0.9, 0.1, ["Two.", "two"]), "the same in other letters").toBeNull();
  const never = { pairRewardMin: null, pairRewardGapMin: 0 };
  expect(
    judgePair(
      [
        { text: "a", reward: 9 },
        { text: "b", reward: 0 },
      ],
      never,
    ).answerAt,
  ).toBeNull();
  const equal = { pairRewardMin: 0, pairRewardGapMin: 0 };
  expect(
    judgePair(
      [
        { text: "a", reward: 1 },
        { text: "b", reward: 1 },
      ],
      equal,
    ).answerAt,
  ).toBeNull();
});

test("the order in which a pair's responses are sent does not matter", () => {
  const reward = fc.double({ min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(reward, reward, (a, b) => {
      fc.pre(a !== b);
      const [first, second] = [a, b].map((each) => ({ text: `rewarded ${each}`, reward: each })) as [
        Response,
        Response,
      ];
      expect(ranked([first, second])).toEqual(ranked([second, first]));
      expect(judgePair([first, second], POLICY)).toEqual(judgePair([second, first], POLICY));
    }),
  );
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
