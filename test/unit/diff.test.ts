import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Span, wordDiff } from "../../shared/edits/diff.ts";
import { normalise, wordsOf } from "../../shared/edits/words.ts";

const words = fc.array(fc.constantFrom("a", "dog", "cat", "is", "on", "red"), { maxLength: 12 });

/** Puts the spans' new words in the place of the old ones. */
function applied(from: readonly string[], spans: readonly Span[]): string[] {
  return [...spans]
    .sort((a, b) => b.at - a.at)
    .reduce<string[]>((done, s) => done.toSpliced(s.at, s.from.length, ...s.to), [...from]);
}

/** Levenshtein distance by its definition, to compare with. */
function distance(a: readonly string[], b: readonly string[]): number {
  let row = b.map((_, j) => j).concat(b.length);
  for (const [i, word] of a.entries()) {
    const next = [i + 1];
    for (const [j, other] of b.entries()) {
      next.push(Math.min((row[j] ?? 0) + Number(word !== other), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

describe("the word diff", () => {
  test("turns the first text into the second", () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        expect(applied(a, wordDiff(a, b).spans)).toEqual(b);
      }),
    );
  });

  test("takes out what it says it takes out", () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        for (const span of wordDiff(a, b).spans)
          expect(a.slice(span.at, span.at + span.from.length)).toEqual(span.from);
      }),
    );
  });

  test("counts the least number of changed words", () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        expect(wordDiff(a, b).distance).toBe(distance(a, b));
      }),
    );
  });

  test("keeps spans apart by a kept word, and makes none for equal texts", () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        const { spans } = wordDiff(a, b);
        expect(spans.length === 0).toBe(a.join(" ") === b.join(" "));
        for (const [i, span] of spans.entries()) {
          const next = spans[i + 1];
          if (next) expect(next.at).toBeGreaterThan(span.at + span.from.length);
        }
      }),
    );
  });

  test("takes two long texts without a common end as changed throughout, in no time", () => {
    const [a, b] = [1, 2].map((k) => Array.from({ length: 20_000 }, (_, i) => `w${k * i}x${k}`));
    expect(wordDiff(a ?? [], b ?? [])).toMatchObject({ distance: 20_000, spans: [{ at: 0 }] });
  });
});

describe("words", () => {
  test.each([
    ["There are 2.5 dogs, aren't there?", ["there", "are", "2.5", "dogs", "aren't", "there"]],
    ["A MEDIUM-SIZED dog’s bowl…", ["a", "medium-sized", "dog's", "bowl"]],
    ["三只狗 and two", ["三", "只", "狗", "and", "two"]],
    ["Une forêt, là-bas", ["une", "forêt", "là-bas"]],
    [" ... ", []],
  ])("of %j", (text, expected) => expect(wordsOf(text)).toEqual(expected));

  test("are compared without case, punctuation and spacing", () => {
    expect(normalise("  The dog,  is BLACK! ")).toBe(normalise("the dog is black"));
    expect(normalise("cafe\u0301")).toBe(normalise("café"));
  });
});
