/** Bodies as clients send them. A test checks that each is valid. */

const IMAGE = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const REPORTED = {
  eventId: "01JA8Z4Q7N6V",
  occurredAt: 1_760_000_000_000,
  model: "assistant-7b",
  adapter: null,
  conversation: [
    {
      role: "user",
      content: [
        { type: "image", sha256: IMAGE },
        { type: "text", text: "How many dogs are there?" },
      ],
    },
  ],
  language: "en",
  decoding: { temperature: 0.2, max_tokens: 256 },
  tags: { release: "2.4.0" },
};

export const FAILURE_EXAMPLE = {
  ...REPORTED,
  response: "There are three dogs.",
  correction: "There are two dogs.",
  reason: "counted a cat",
  rating: "down",
};

export const PAIR_EXAMPLE = {
  ...REPORTED,
  eventId: "01JA8Z4Q7N6W",
  responses: [
    { text: "There are two dogs.", reward: 0.9 },
    { text: "There are three dogs.", reward: 0.1 },
  ],
};

export const KEY_EXAMPLE = { client: "photo app", scopes: ["ingest"] };
