import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { failureEvent, pairEvent } from "../../shared/contracts/ingest.ts";
import { type Redaction, redaction } from "../../shared/contracts/policy.ts";
import { redact } from "../../shared/redaction/redact.ts";

/** A rule as a policy holds it. */
function rule(path: string, pattern: string, replacement?: string): Redaction {
  return redaction.parse({ path, pattern, ...(replacement !== undefined && { replacement }) });
}

const SECRET = "abc";
const EVENT = {
  eventId: "abc-1",
  occurredAt: 1_760_000_000_000,
  model: "abc",
  adapter: "abc0".repeat(16),
  conversation: [
    { role: "system", content: [{ type: "text", text: "abc s" }] },
    {
      role: "user",
      content: [
        { type: "image", sha256: "abc0".repeat(16) },
        { type: "text", text: "abc u" },
        { type: "video", frames: [{ sha256: "abc1".repeat(16), timeMs: 0 }] },
      ],
    },
  ],
  response: "abc response",
  correction: "abc correction",
  reference: "abc reference",
  reason: "abc reason",
  task: "counting",
  errorType: "count-near",
  language: "abc",
  decoding: { abc: "abc d", temperature: 0.5, greedy: true, seed: null },
  tags: { abc: "abc t", "e.mail": "abc e", __proto__x: "abc p" },
};

const EMAIL = "[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}";
const PHONE = "\\+?\\d[\\d ()./-]{6,18}\\d";
const CARD = "\\b(?:\\d[ -]?){12,18}\\d\\b";

/** A valid failure whose texts hold what the rules look for. */
const text = fc
  .array(fc.constantFrom("abc", "a", "b ", "é", "😀", " ", "\n", "jane@example.org", "+1 555 010 9999", "dogs"), {
    minLength: 1,
    maxLength: 12,
  })
  .map((parts) => `.${parts.join("")}`);
const failure = fc.record(
  {
    eventId: fc.constant("abc-1"),
    occurredAt: fc.nat(),
    model: fc.constant("abc"),
    conversation: fc
      .array(text, { minLength: 1, maxLength: 3 })
      .map((texts) => texts.map((one) => ({ role: "user", content: [{ type: "text", text: one }] }))),
    response: text,
    correction: text,
    reason: text,
    tags: fc.dictionary(fc.constantFrom("abc", "__proto__", "constructor", "a.b", "0"), text, { maxKeys: 3 }),
    decoding: fc.dictionary(fc.constantFrom("stop", "abc"), fc.oneof(text, fc.integer(), fc.constant(null)), {
      maxKeys: 2,
    }),
  },
  { requiredKeys: ["eventId", "occurredAt", "model", "conversation", "response"] },
);
const somePath = fc.constantFrom(
  "**",
  "response",
  "tags.*",
  "conversation.**",
  "conversation.*.content.*.text",
  "reason",
);
const somePattern = fc.constantFrom(
  "abc",
  EMAIL,
  PHONE,
  "(?i)\\bDOGS\\b",
  "\\s+",
  ".",
  "(?s).*",
  "a|b",
  "^\\.",
  "x*",
  "\\b",
);
const rules = fc.array(
  fc
    .tuple(somePath, somePattern, fc.constantFrom("#", "", " ", "$1 $& \\0", "[redacted]", "abcabc".repeat(33)))
    .map((parts) => rule(...parts)),
  { maxLength: 4 },
);

describe("an event", () => {
  test("loses what a rule for every text describes, in each of its texts and nowhere else", () => {
    const { event, replaced } = redact(EVENT, [rule("**", SECRET, "#")]);
    expect(event).toEqual({
      ...EVENT,
      conversation: [
        { role: "system", content: [{ type: "text", text: "# s" }] },
        {
          role: "user",
          content: [
            EVENT.conversation[1]?.content[0],
            { type: "text", text: "# u" },
            EVENT.conversation[1]?.content[2],
          ],
        },
      ],
      response: "# response",
      correction: "# correction",
      reference: "# reference",
      reason: "# reason",
      decoding: { abc: "# d", temperature: 0.5, greedy: true, seed: null },
      tags: { abc: "# t", "e.mail": "# e", __proto__x: "# p" },
    });
    expect(replaced).toBe(10);
  });

  test.each([
    ["response", ["response"]],
    ["tags.abc", ["tags.abc"]],
    ["tags.*", ["tags.__proto__x", "tags.abc", "tags.e.mail"]],
    ["conversation.1.content.1.text", ["conversation.1.content.1.text"]],
    ["conversation.0.content.*.text", ["conversation.0.content.0.text"]],
    ["conversation.**", ["conversation.0.content.0.text", "conversation.1.content.1.text"]],
    ["**.text", ["conversation.0.content.0.text", "conversation.1.content.1.text"]],
    ["*", ["correction", "reason", "reference", "response"]],
    ["**.response", ["response"]],
    ["**.abc", ["decoding.abc", "tags.abc"]],
  ])("loses it at %s only there", (path, expected) => {
    const { event, replaced } = redact(EVENT, [rule(path, SECRET, "#")]);
    expect(differences(EVENT, event)).toEqual(expected);
    expect(replaced).toBe(expected.length);
  });

  test("of a low-reward pair loses it in both responses", () => {
    const pair = {
      responses: [
        { text: "abc 1", reward: 1 },
        { text: "2 abc", reward: 0 },
      ],
    };
    const expected = {
      responses: [
        { text: "# 1", reward: 1 },
        { text: "2 #", reward: 0 },
      ],
    };
    expect(redact(pair, [rule("responses.*.text", SECRET, "#")])).toEqual({ event: expected, replaced: 2 });
  });

  test("in which nothing is found is the same object", () => {
    expect(redact(EVENT, []).event).toBe(EVENT);
    expect(redact(EVENT, [rule("**", "nowhere"), rule("tags.none", SECRET)])).toEqual({ event: EVENT, replaced: 0 });
    expect(redact(EVENT, [rule("**", "nowhere"), rule("tags.none", SECRET)]).event).toBe(EVENT);
  });

  test("stays valid, keeps everything that is no text, and is not changed itself", () => {
    fc.assert(
      fc.property(failure, rules, (sent, applied) => {
        const before = structuredClone(sent);
        const { event, replaced } = redact(sent, applied);
        expect(sent).toEqual(before);
        expect(failureEvent.safeParse(event).error).toBeUndefined();
        expect(withoutTexts(event)).toEqual(withoutTexts(sent));
        if (replaced === 0) expect(event).toBe(sent);
      }),
      { numRuns: 1_000 },
    );
  });

  test("is not changed again by rules that do not match what they put", () => {
    const quiet = fc.array(
      fc
        .tuple(somePath, fc.constantFrom("abc", EMAIL, PHONE, "dogs", "a+"))
        .map(([path, pattern]) => rule(path, pattern, "#")),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(failure, quiet, (sent, applied) => {
        const once = redact(sent, applied).event;
        expect(redact(once, applied)).toEqual({ event: once, replaced: 0 });
      }),
      { numRuns: 500 },
    );
  });

  test("that is none, or is of another shape, is left as it is", () => {
    const all = [rule("**", "(?s).+", "#")];
    fc.assert(fc.property(fc.jsonValue(), (value) => redact({ other: value }, all).replaced === 0));
    for (const value of [
      null,
      7,
      "abc",
      [SECRET],
      { response: [SECRET] },
      { tags: [SECRET] },
      { conversation: { 0: SECRET } },
    ]) {
      expect(redact(value, all)).toEqual({ event: value, replaced: 0 });
    }
  });
});

describe("the rules", () => {
  const response = (sent: string, ...applied: Redaction[]) => redact({ response: sent }, applied).event.response;

  test("are applied in their order, each to what the one before it left", () => {
    const [first, second] = [rule("**", "abc", "def"), rule("**", "de", "#")];
    expect(response("abc de", first, second)).toBe("#f #");
    expect(response("abc de", second, first)).toBe("def #");
  });

  test("find e-mail addresses, phone numbers and card numbers", () => {
    const typical = [rule("**", EMAIL, "[mail]"), rule("**", CARD, "[card]"), rule("**", PHONE, "[phone]")];
    expect(
      response(
        "Write to Jane.Doe+x@example.co.uk or call +1 (555) 010-9999, card 4111 1111 1111 1111; 12 dogs.",
        ...typical,
      ),
    ).toBe("Write to [mail] or call [phone], card [card]; 12 dogs.");
  });

  test("replace as String.replaceAll does, with the replacement word for word", () => {
    const pattern = fc.constantFrom("abc", "a|b", "b+", "[a-c]{2}", "(a)(b)?", "😀", "\\w\\b", "(?:ab|bc)");
    const replacement = fc.constantFrom("", "$1", "$&", "$$", "\\1", "$<name>", "#");
    fc.assert(
      fc.property(text, pattern, replacement, (sent, found, put) => {
        expect(response(sent, rule("response", found, put))).toBe(sent.replaceAll(new RegExp(found, "gu"), () => put));
      }),
      { numRuns: 1_000 },
    );
  });

  test("leave empty matches alone", () => {
    expect(response("abc", rule("**", "x*", "#"))).toBe("abc");
    expect(response("abxxc", rule("**", "x*|\\b", "#"))).toBe("ab#c");
  });
});

describe("a replacement", () => {
  const [blank, long] = [rule("**", "(?s).+", " \n"), rule("**", "a", "😀".repeat(100))];

  test("that leaves nothing of a needed text is [redacted]; one that may be blank is blank", () => {
    const { event } = redact(EVENT, [blank]);
    for (const name of ["response", "correction", "reference"] as const) expect(event[name]).toBe("[redacted]");
    expect(event.reason).toBe(" \n");
    expect(event.conversation[0]?.content[0]).toEqual({ type: "text", text: " \n" });
    const pair = { responses: [{ text: "abc", reward: 1 }] };
    expect(redact(pair, [blank]).event.responses[0]?.text).toBe("[redacted]");
  });

  test.each([
    ["response", LIMITS.textChars],
    ["reason", LIMITS.reasonChars],
  ])("that lets %s outgrow its limit is cut there, between characters", (name, limit) => {
    for (const sent of ["a".repeat(limit), `x${"a".repeat(limit - 1)}`]) {
      const result = (redact({ [name]: sent }, [long]).event as Record<string, string>)[name] ?? "";
      expect(result.isWellFormed()).toBe(true);
      expect(result.length).toBeGreaterThanOrEqual(limit - 1);
      expect(result.length).toBeLessThanOrEqual(limit);
    }
    const tooLong = { [name]: "a".repeat(limit + 1) };
    expect(redact(tooLong, [long]).event).toBe(tooLong);
  });

  test("takes the rest of the text with it after 500 others", () => {
    const numbers = "7,".repeat(501);
    const { event, replaced } = redact({ response: numbers }, [rule("**", "7", "#")]);
    expect(replaced).toBe(500);
    expect(event.response).toBe(`${"#,".repeat(499)}#`);
  });
});

test("two responses that differ only in what is replaced become the same, so they are compared before", () => {
  const reported = { eventId: "p", occurredAt: 1, model: "m", conversation: EVENT.conversation.slice(1) };
  const responses = [
    { text: "call 1", reward: 1 },
    { text: "call 2", reward: 0 },
  ];
  const { event } = redact(pairEvent.parse({ ...reported, responses }), [rule("**", "\\d", "#")]);
  expect(event.responses.map((response) => response.text)).toEqual(["call #", "call #"]);
});

/** Dotted paths of the strings that differ. */
function differences(before: unknown, after: unknown, path = ""): string[] {
  if (typeof before !== "object" || before === null) return before === after ? [] : [path];
  return Object.entries(before)
    .flatMap(([name, value]) =>
      differences(value, (after as Record<string, unknown>)[name], path === "" ? name : `${path}.${name}`),
    )
    .sort();
}

/** The event with a mark for every text, so that all the rest can be compared. */
function withoutTexts(event: unknown): unknown {
  const texts = new Set(["response", "correction", "reference", "reason", "text"]);
  return JSON.parse(JSON.stringify(event), function reviver(this: unknown, name, value) {
    const isSetting = name === "tags" || name === "decoding";
    if (!isSetting) return texts.has(name) ? "text" : value;
    return Object.entries(value).map(([key, entry]) => [key, typeof entry === "string" ? "text" : entry]);
  });
}
