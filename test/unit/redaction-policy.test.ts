import { describe, expect, test } from "vitest";
import { policyDocument, redaction } from "../../shared/contracts/policy.ts";

const EMAIL = "[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}";
const PHONE = "\\+?\\d[\\d ()./-]{6,18}\\d";
const CARD = "\\b(?:\\d[ -]?){12,18}\\d\\b";

describe("a policy refuses", () => {
  const problems = (fields: object) => {
    const parsed = redaction.safeParse({ path: "response", pattern: "abc", ...fields });
    return (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join(".")} ${message}`);
  };

  test.each([
    ...["eventId", "adapter", "model", "task", "language", "occurredAt", "reward", "responses.0.reward"],
    ...["conversation", "conversation.*.role", "conversation.*.content.*.sha256", "tags", "tags.", "tags.e.mail"],
    ...[
      "response.",
      ".response",
      "response.text",
      "Response",
      "*.*.*.*",
      "conversation.x.content.0.text",
      "** ",
      "conversation.**.role",
    ],
  ])("the path %j, which leads to no text", (path) => {
    expect(problems({ path })).toEqual(["path must lead to a text of an event"]);
  });

  test.each([
    ...["response", "**", "*", "**.**", "tags.*", "*.*", "tags.anything", "decoding.stop", "responses.1.text"],
    ...["conversation.63.content.31.text", "**.text", "conversation.**"],
  ])("not the path %j", (path) => {
    expect(problems({ path })).toEqual([]);
  });

  test.each([
    "(",
    "[a",
    "a**",
    "(?<=a)b",
    "(?=a)",
    "\\1",
    "a{1001}",
    "((a{100}){100}){100}",
    "\\pX",
    "(?P<n>a)(?P<n>b)",
  ])("the pattern %s, which is not RE2's", (pattern) => {
    expect(problems({ pattern })).toEqual([
      expect.stringMatching(/^pattern must be a regular expression in RE2's syntax: ./),
    ]);
  });

  test.each([
    ["a".repeat(900).concat("{1000}").replace(/^/, "(?:").replace("{", "){")],
    ["((a{10}){10}){10}"],
    ["(?:\\pL{10}){100}"],
    ["a{500}b{500}"],
  ])("the pattern %s, which unfolds to too much", (pattern) => {
    expect(problems({ pattern })).toEqual(["pattern must be simpler: it unfolds to more than 1000 steps"]);
  });

  test.each([
    EMAIL,
    PHONE,
    CARD,
    "[A-Z]{2}\\d{2}(?: ?[A-Z0-9]{4}){2,7}",
    "[^@\\s]{1,64}@[^@\\s]{1,255}",
    "(?i)a|b",
    "\\x{1F600}",
  ])("not the pattern %s", (pattern) => {
    expect(problems({ pattern })).toEqual([]);
  });

  test("a rule by its place in the document", () => {
    const redactions = [
      { path: "**", pattern: "abc" },
      { path: "model", pattern: "(" },
    ];
    const { error } = policyDocument.safeParse({ intake: { redactions } });
    expect(error?.issues.map(({ path }) => path.join("."))).toEqual([
      "intake.redactions.1.path",
      "intake.redactions.1.pattern",
    ]);
  });

  test("a replacement that is no text", () => {
    expect(problems({ replacement: "\ud800" })).toEqual(["replacement must be well-formed Unicode"]);
  });
});
