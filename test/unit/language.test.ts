import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SENTENCES } from "../../bench/classification/sentences.ts";
import { languageOf } from "../../shared/taxonomy/language.ts";

const told = (question: string, answer = "", response = "") => languageOf({ question, response, answer });
const tagged = (tag: string) =>
  languageOf({ tag, question: "Wie viele Hunde sind auf dem Bild?", response: "", answer: null });

describe("a client's language tag stands", () => {
  test.each([
    ["en", "en"],
    ["EN-us", "en"],
    ["pt-br", "pt"],
    ["zh-Hant-TW", "zh"],
    ["sr_Latn", "sr"],
    ["iw", "he"],
    ["nb-NO", "no"],
  ])("%s is %s", (tag, language) => {
    expect(tagged(tag)).toBe(language);
  });

  test.each(["eng", "xx", "qq-klingon", "x-own", "", "-", "und"])("%j is und, whatever the question is in", (tag) => {
    expect(tagged(tag)).toBe("und");
  });
});

test("no client opens more languages than ISO 639-1 has", () => {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const pairs = [...letters].flatMap((a) => [...letters].map((b) => a + b));
  const all = new Set([...pairs, ...pairs.map((pair) => `${pair}x`)].map(tagged));
  expect(all.size).toBeLessThanOrEqual(185);
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (tag, question, response) => {
      expect(languageOf({ tag, question, response, answer: null })).toMatch(/^(?:[a-z]{2}|und)$/);
      expect(languageOf({ question, response, answer: null })).toMatch(/^(?:[a-z]{2}|und)$/);
    }),
  );
});

describe("an untagged language is read from the question, and from the answer where that says too little", () => {
  test.each(Object.keys(SENTENCES))("%s", (language) => {
    for (const [question, answer] of SENTENCES[language] ?? []) expect(told(question, answer), question).toBe(language);
  });

  test("the question decides: an answer in another language is a slip", () => {
    expect(told("How many dogs are in the picture?", "Es sind drei Hunde auf dem Bild.")).toBe("en");
    expect(told("Wie viele Hunde sind auf dem Bild?", "There are three dogs in the picture.")).toBe("de");
  });

  test("the answer helps out, and the response where no answer is known", () => {
    expect(told("?", "Auf dem Tisch stehen zwei Gläser und ein Teller.")).toBe("de");
    expect(languageOf({ question: "?", response: "Deux enfants jouent dans la rue.", answer: null })).toBe("fr");
  });

  test.each(["", "?", "42", "3 + 4 = 7", "Yes", "Rot", "xkcd qwrt", "👍", "IMG_2034.jpg", "\ud800"])(
    "%j alone is und",
    (text) => {
      expect(told(text, text)).toBe("und");
    },
  );

  test.each([
    ["Wer hat What gesagt?", "de"],
    ["Is de hond wit of zwart op deze foto?", "nl"],
    ["Do której klasy chodzi ten chłopiec?", "pl"],
  ])("%j only begins like English", (question, language) => {
    expect(told(question)).toBe(language);
  });
});
