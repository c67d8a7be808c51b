import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wordsOf } from "../../shared/edits/words.ts";
import { classify } from "../../shared/taxonomy/classify.ts";
import { wordingOf } from "../../shared/taxonomy/reading.ts";
import { ERROR_TYPES, TASK_ERROR_TYPES, TASKS } from "../../shared/taxonomy/taxonomy.ts";

describe("the task is read from the question", () => {
  test.each([
    ["How many objects are there?", "counting"],
    ["How many yellow circles are there?", "counting"],
    ["What colour is the biggest object?", "colour"],
    ["What color is the car on the left?", "colour"],
    ["What size is the yellow circle?", "size"],
    ["How big is the dog?", "size"],
    ["What shape is the object at the top?", "object"],
    ["What is the man holding?", "object"],
    ["Is there a black square?", "existence"],
    ["Are there any people in the picture?", "existence"],
    ["Where is the yellow circle relative to the black square?", "spatial"],
    ["Where in the box is the yellow circle?", "spatial"],
    ["Is the cup left of the plate?", "spatial"],
    ["Are there more black objects or more yellow objects?", "comparison"],
    ["Is the dog bigger than the cat?", "comparison"],
    ["Which dog wears a hat?", "referential"],
    ["Who is next to the tree?", "referential"],
    ["What is in the background?", "background"],
    ["What does the sign say?", "ocr"],
    ["Why is the man running?", "reasoning"],
    ["What happens after the video shows the ball?", "temporal"],
    ["Describe the picture.", "captioning"],
    ["What is the woman doing?", "captioning"],
    ["Hello!", "other"],
    ["", "other"],
  ])("%j is about %s", (question, task) => {
    expect(classify({ question, response: "x", answer: null }).task).toBe(task);
  });
});

describe("the error type is read from the words that differ", () => {
  test.each([
    ["counting", "There are three dogs.", "There are two dogs.", "count-near"],
    ["counting", "There is one dog.", "There are no dogs.", "count-near"],
    ["counting", "There are three dogs.", "There are 8 dogs.", "count-far"],
    ["colour", "The car is red.", "The car is blue.", "attribute"],
    ["colour", "The cup is red and the plate is blue.", "The cup is blue and the plate is red.", "attribute-swap"],
    ["size", "It is bigger than the cat.", "It is smaller than the cat.", "comparison-inversion"],
    ["object", "It is a circle.", "It is a square.", "identity"],
    ["object", "There is a dog.", "There is a dog and a cat.", "existence-add"],
    ["object", "There is a dog and a cat.", "There is a dog.", "existence-omit"],
    ["existence", "Yes, there is a dog.", "No, there is no dog.", "negation"],
    ["spatial", "The cup is left of the plate.", "The cup is above the plate.", "position-inversion"],
    ["spatial", "The cup is left of the plate.", "The plate is left of the cup.", "role-swap"],
    ["comparison", "There are more cats than dogs.", "There are fewer cats than dogs.", "comparison-inversion"],
    ["comparison", "There are more cats than dogs.", "There are more dogs than cats.", "role-swap"],
    ["captioning", "A man is walking.", "A man is sleeping.", "action"],
    ["captioning", "A red car and a blue bus.", "A blue car and a red bus.", "attribute-swap"],
    ["captioning", "A cat chases a dog.", "A dog chases a cat.", "role-swap"],
    ["captioning", "Two cats and a dog.", "A cat and two dogs.", "attribute-swap"],
    ["captioning", "A plate with bread.", "A plate with bread, cheese and a knife.", "existence-add"],
    ["captioning", "A plate with bread and a knife.", "A plate with bread.", "existence-omit"],
    ["captioning", "A man on a field.", "A man on a muddy field.", "attribute"],
    ["captioning", "A sign by the road.", "A stop sign by the road.", "attribute"],
    ["captioning", "A wooden table.", "A glass table.", "attribute"],
    ["captioning", "A man holds a camera.", "A man holds a phone.", "identity"],
    ["captioning", "A cat on a bed.", "A cat under a bed.", "position-inversion"],
    ["captioning", "A lamp with a shade.", "A lamp without a shade.", "position-inversion"],
    ["captioning", "Four boats at sea.", "Five boats at sea.", "count-near"],
    ["counting", "Yes.", "No.", "negation"],
    ["colour", "Yes, it is red.", "No.", "negation"],
    ["spatial", "Yes, it is.", "No, it isn't.", "negation"],
    ["colour", "Yes, it is red.", "No, it is blue.", "attribute"],
    ["temporal", "He sits before he eats.", "He sits after he eats.", "temporal-order"],
    ["dialogue", "The dog is not here.", "The dog is here.", "negation"],
    ["other", "Es ist rot, there.", "Оно красное.", "language-slip"],
  ] as const)("%s: %j, answered %j, is %s", (task, answer, response, errorType) => {
    expect(classify({ question: "?", response, answer, task })).toMatchObject({ task, errorType });
  });

  test("a right or an unknown answer falls to the task's likeliest type", () => {
    for (const task of TASKS) {
      const likeliest = { task, errorType: TASK_ERROR_TYPES[task][0] };
      expect(classify({ question: "?", response: "It is red.", answer: null, task })).toMatchObject(likeliest);
      expect(classify({ question: "?", response: "It is red.", answer: "It is red!", task })).toMatchObject(likeliest);
    }
  });
});

const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc
    .array(
      fc.constantFrom("yes", "no", "two", "7", "red", "left", "of", "the", "dog", "more", "than", "before", "是"),
      { maxLength: 12 },
    )
    .map((words) => words.join(" ")),
);

test("the error type is always one of the task's own, unless the client says otherwise", () => {
  fc.assert(
    fc.property(text, text, fc.option(text), (question, response, answer) => {
      const found = classify({ question, response, answer });
      expect(TASK_ERROR_TYPES[found.task]).toContain(found.errorType);
    }),
  );
});

test("a client's tags stand", () => {
  fc.assert(
    fc.property(
      text,
      text,
      fc.constantFrom(...TASKS),
      fc.constantFrom(...ERROR_TYPES),
      (question, response, task, errorType) => {
        const report = { question, response, answer: "two dogs", task, errorType, language: "pt-br" };
        expect(classify({ ...report, tags: { task: "ocr", error_type: "scene" } })).toEqual({
          task,
          errorType,
          language: "pt",
        });
      },
    ),
  );
});

describe("a client's free labels", () => {
  const report = { question: "Well?", response: "It is blue.", answer: "It is red." };

  test.each([
    [{ task: "counting" }, { task: "counting" }],
    [{ task: " OCR " }, { task: "ocr" }],
    [{ category: "color" }, { task: "colour" }],
    [
      { category: "Role Swap", type: "captioning" },
      { task: "captioning", errorType: "role-swap" },
    ],
    [
      { task: "captioning", error_type: "attribute_swap" },
      { task: "captioning", errorType: "attribute-swap" },
    ],
  ])("%j name it", (tags, found) => {
    expect(classify({ ...report, tags })).toMatchObject(found);
  });

  test.each([
    {},
    { task: "no such task", error_type: "", category: "constructor" },
    { error_type: "temporal-order" },
    { note: "counting" },
  ])("%j change nothing: they name none, or none of the task's", (tags) => {
    expect(classify({ ...report, tags })).toEqual(classify(report));
  });
});

test("the same report is always classified the same, in the closed sets", () => {
  fc.assert(
    fc.property(text, text, fc.option(text), fc.dictionary(text, text), (question, response, answer, tags) => {
      const found = classify({ question, response, answer, tags });
      expect(classify({ question, response, answer, tags })).toEqual(found);
      expect(TASKS).toContain(found.task);
      expect(TASK_ERROR_TYPES[found.task]).toContain(found.errorType);
    }),
  );
});

test("ASCII is cut into words like any text", () => {
  const ascii = fc.string({ unit: fc.constantFrom(..."aZ09'-.,;_ \n\x00") });
  fc.assert(
    fc.property(fc.oneof(ascii, text), (one) => {
      const { words } = wordingOf(one);
      expect(words).toEqual(wordsOf(one));
      expect(wordingOf(`${one}\u00a0é`).words.slice(0, words.length - 1)).toEqual(words.slice(0, -1));
    }),
  );
});

describe("texts made to be slow are classified in no time", () => {
  test.each([
    ["words", "before the video more than happened "],
    ["cues that never end", "what does what do is there are the "],
    ["one word", "a"],
    ["apostrophes", "'"],
    ["apostrophes within a word", "a'"],
    ["numbers", "1.1,"],
    ["accents", "e\u0301 "],
    ["ideographs", "狗"],
    ["adjectives without a noun", "is the very "],
    ["lone surrogates", "\ud800"],
  ])("%s", (_, unit) => {
    const long = unit.repeat(Math.ceil(32_000 / unit.length)).slice(0, 32_000);
    const started = performance.now();
    for (let i = 0; i < 20; i++) {
      classify({
        question: long,
        response: long,
        answer: `x ${long.slice(0, 31_000).toUpperCase()} y`,
        task: "captioning",
      });
      classify({ question: long, response: `${long} z`, answer: [...long].reverse().join("") });
    }
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
