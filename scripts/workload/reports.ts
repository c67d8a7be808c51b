import type { FailureEvent } from "../../shared/contracts/ingest.ts";
import type { ErrorType, Task } from "../../shared/taxonomy/taxonomy.ts";

/** Reports as clients of a deployed model send them: about 700 bytes, one image, twelve regions. ASCII only. */

/** One kind of mistake: what is asked, what is right, and what the model said. */
interface Kind {
  readonly task: Task;
  readonly errorType: ErrorType;
  readonly texts: (scene: Scene) => readonly [question: string, right: string, wrong: string];
}

interface Scene {
  readonly thing: string;
  readonly other: string;
  readonly colour: string;
  readonly otherColour: string;
  readonly count: number;
  readonly place: string;
}

const THINGS = ["bicycle", "suitcase", "delivery van", "umbrella", "bench", "traffic cone", "dog", "ladder"] as const;
const COLOURS = ["red", "green", "yellow", "blue", "white", "black"] as const;
const PLACES = ["the station entrance", "the loading dock", "the school gate", "the market square"] as const;
const MODELS = ["vision-2b-2026-03", "vision-2b-2026-05", "vision-7b-2026-05"] as const;
const NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"] as const;

const KINDS: readonly Kind[] = [
  {
    task: "counting",
    errorType: "count-near",
    texts: ({ thing, place, count }) => countTexts(thing, place, count, count + 1),
  },
  {
    task: "counting",
    errorType: "count-far",
    texts: ({ thing, place, count }) => countTexts(thing, place, count, count + 4),
  },
  {
    task: "colour",
    errorType: "attribute",
    texts: ({ thing, colour, otherColour, place }) => {
      const says = (seen: string) =>
        `The ${thing} that stands nearest to ${place} is ${seen}, with a dark handle on its side.`;
      return [`What colour is the ${thing} nearest to ${place} in this photo?`, says(colour), says(otherColour)];
    },
  },
  {
    task: "colour",
    errorType: "attribute-swap",
    texts: ({ thing, other, colour, otherColour, place }) => {
      const says = (a: string, b: string) =>
        `At ${place} there is a ${a} ${thing}, and beside it there is a ${b} ${other}.`;
      return [
        `What colours are the ${thing} and the ${other} at ${place}?`,
        says(colour, otherColour),
        says(otherColour, colour),
      ];
    },
  },
  {
    task: "spatial",
    errorType: "position-inversion",
    texts: ({ thing, other, place }) => {
      const says = (side: string) =>
        `Seen from the camera, the ${thing} is to the ${side} of the ${other}, close to ${place}.`;
      return [`Where is the ${thing} relative to the ${other} in this photo?`, says("left"), says("right")];
    },
  },
  {
    task: "spatial",
    errorType: "role-swap",
    texts: ({ thing, other, place }) => {
      const says = (a: string, b: string) =>
        `Near ${place} the ${a} stands in front of the ${b} and hides its lower half.`;
      return [`Which of the ${thing} and the ${other} is in front, and where?`, says(thing, other), says(other, thing)];
    },
  },
  {
    task: "existence",
    errorType: "negation",
    texts: ({ thing, place }) => [
      `Is there a ${thing} anywhere at ${place}?`,
      `Yes, there is a ${thing} at ${place}; it is partly hidden behind the people who wait there.`,
      `No, there is no ${thing} at ${place}; only the people who wait there can be seen in the photo.`,
    ],
  },
  {
    task: "object",
    errorType: "identity",
    texts: ({ thing, other, place }) => {
      const says = (seen: string) =>
        `The object that leans against the wall at ${place} is a ${seen}, seen from its narrow side.`;
      return [`What is the object that leans against the wall at ${place}?`, says(thing), says(other)];
    },
  },
  {
    task: "size",
    errorType: "comparison-inversion",
    texts: ({ thing, other, place }) => sizeTexts(`How big is the ${thing} next to the ${other}?`, thing, other, place),
  },
  {
    task: "comparison",
    errorType: "comparison-inversion",
    texts: ({ thing, other, place }) =>
      sizeTexts(`Which is taller, the ${thing} or the ${other}?`, thing, other, place),
  },
  {
    task: "ocr",
    errorType: "text-misread",
    texts: ({ place, thing, count }) => {
      const says = (number: number) =>
        `The sign at ${place} reads "PLATFORM ${number}", in white letters above the ${thing}.`;
      return [`What does the sign at ${place} say?`, says(count), says(count + 7)];
    },
  },
  {
    task: "captioning",
    errorType: "existence-add",
    texts: ({ thing, other, colour, place }) => [
      "Describe this photo in one sentence.",
      `A ${colour} ${thing} stands at ${place} in the afternoon light, and nobody is near it.`,
      `A ${colour} ${thing} and a ${other} stand at ${place} in the afternoon light, and nobody is near them.`,
    ],
  },
];

const INSTRUCTION = "Answer in one full sentence, and tell only what can be seen in the photo itself.";

/** What a report needs besides its id. */
export interface Draft {
  readonly occurredAt: number;
  readonly model: string;
  readonly conversation: FailureEvent["conversation"];
  readonly response: string;
  readonly correction: string;
  readonly task: Task;
  readonly errorType: ErrorType;
  readonly language: string;
}

/** A wrong answer with its correction. Kinds follow one another with `index`, the rest is decided by `random`. */
export function draftReport(index: number, random: () => number, image: string, occurredAt: number): Draft {
  const { task, errorType, texts } = KINDS[index % KINDS.length] as Kind;
  const [question, correction, response] = texts(randomScene(random));
  return {
    occurredAt,
    model: pick(MODELS, random),
    conversation: [
      {
        role: "user",
        content: [
          { type: "image", sha256: image },
          { type: "text", text: `${question} ${INSTRUCTION}` },
        ],
      },
    ],
    response,
    correction,
    task,
    errorType,
    language: "en",
  };
}

function randomScene(random: () => number): Scene {
  const [thing, other] = two(THINGS, random);
  const [colour, otherColour] = two(COLOURS, random);
  return { thing, other, colour, otherColour, count: 1 + Math.floor(random() * 4), place: pick(PLACES, random) };
}

function countTexts(thing: string, place: string, right: number, wrong: number) {
  const says = (count: number) =>
    `I count ${NUMBERS[count - 1]} objects at ${place} that look like a ${thing}, as far as the photo shows them all.`;
  return [`How many of the objects at ${place} look like a ${thing}?`, says(right), says(wrong)] as const;
}

function sizeTexts(question: string, thing: string, other: string, place: string) {
  const says = (a: string, b: string) =>
    `At ${place} the ${a} is clearly taller than the ${b}, by about a third of its height.`;
  return [question, says(thing, other), says(other, thing)] as const;
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)] as T;
}

/** Two different ones. */
function two<T>(items: readonly T[], random: () => number): [T, T] {
  const first = Math.floor(random() * items.length);
  const step = 1 + Math.floor(random() * (items.length - 1));
  return [items[first] as T, items[(first + step) % items.length] as T];
}
