import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changedWords, templateOf } from "../../shared/edits/index.ts";

/** What is written down of a pair, so that a batch can be balanced without reading its texts. */

describe("the template of a question", () => {
  test.each([
    ["How many dogs are there?", "how many dogs"],
    ["  HOW, many   (dogs)?", "how many dogs"],
    ["Why?", "why"],
    ["?!", ""],
    ["", ""],
    ["有几只狗？", "有 几 只"],
  ])("%j begins as %j", (question, template) => expect(templateOf(question)).toBe(template));

  test("a question without spaces does not make a long one", () => {
    expect(templateOf("a".repeat(100_000))).toHaveLength(100);
  });
});

describe("the words that an edit changed", () => {
  test.each([
    ["There are two dogs.", "There are three dogs.", "two", "three"],
    ["Yes, there is a dog.", "No, there is no dog.", "yes … a", "no … no"],
    ["A cat on a mat.", "A cat.", "on a mat", ""],
    ["A cat.", "A black cat.", "", "black"],
  ])("%j to %j: %j became %j", (answer, rejected, from, to) => {
    expect(changedWords(answer, rejected)).toEqual({ from, to });
  });

  test("a swapped pair has the same places the other way round", () => {
    const text = fc.array(fc.constantFrom("one", "two", "dog", "cat", "red"), { maxLength: 8 }).map((w) => w.join(" "));
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [there, back] = [changedWords(a, b), changedWords(b, a)];
        expect(there.from === "" && there.to === "").toBe(a === b);
        expect(words(there.from).length - words(there.to).length).toBe(words(back.to).length - words(back.from).length);
      }),
    );
  });
});

const words = (text: string) => text.split(" ").filter((word) => word !== "" && word !== "…");
