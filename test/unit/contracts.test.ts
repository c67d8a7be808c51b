import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { conversation, ERROR_STATUS, errorBody, imagesOf, LIMITS } from "../../shared/contracts/common.ts";
import { eventsRequest, failureEvent } from "../../shared/contracts/ingest.ts";
import { createKeyRequest } from "../../shared/contracts/operator.ts";
import { DEFAULT_POLICY, policyDocument } from "../../shared/contracts/policy.ts";
import { pairReport } from "../../shared/contracts/training.ts";
import { policyFields } from "../../shared/policy/fields.ts";
import { problemsOf } from "../../workers/http/problems.ts";

const hash = "0123456789abcdef".repeat(4);
const user = (...content: unknown[]) => ({ role: "user", content });
const text = (value: string) => ({ type: "text", text: value });
const image = { type: "image", sha256: hash };

const event = {
  eventId: "e",
  occurredAt: 0,
  model: "m",
  conversation: [user(image, text("How many?"))],
  response: "Two.",
};

const pathsOf = (schema: z.ZodType, value: unknown) => {
  const parsed = schema.safeParse(value);
  return parsed.success ? [] : problemsOf(parsed.error).map((problem) => problem.path);
};

describe("a failure event", () => {
  test("may leave out all that is optional", () => {
    expect(failureEvent.parse(event)).toEqual(event);
  });

  test("has its language in lower case", () => {
    expect(failureEvent.parse({ ...event, language: "PT-br" }).language).toBe("pt-br");
  });

  test("is kept as it was sent, whatever well-formed text it holds", () => {
    const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }).filter((word) => /\S/.test(word));
    fc.assert(
      fc.property(words, words, words, (response, reference, question) => {
        const sent = { ...event, response, reference, conversation: [user(text(question))] };
        expect(failureEvent.parse(JSON.parse(JSON.stringify(sent)))).toEqual(sent);
      }),
    );
  });

  test.each(["eventId", "model", "response", "reference", "correction"])("refuses half a character in %s", (field) => {
    for (const broken of ["a\ud800", "\udc00a", "\udc00\ud800"]) {
      expect(pathsOf(failureEvent, { ...event, [field]: broken })).toEqual([field]);
    }
    expect(pathsOf(failureEvent, { ...event, [field]: "\ud83d\udc36" })).toEqual([]);
  });

  test("refuses every field that it does not know, wherever it stands", () => {
    expect(pathsOf(failureEvent, { ...event, extra: 1 })).toEqual(["body"]);
    expect(pathsOf(failureEvent, { ...event, conversation: [{ ...user(text("a")), name: "x" }] })).toEqual([
      "conversation.0",
    ]);
    expect(pathsOf(failureEvent, { ...event, conversation: [user({ ...image, url: "http://x" })] })).toEqual([
      "conversation.0.content.0",
    ]);
  });

  test("takes texts up to the limit", () => {
    const long = "x".repeat(LIMITS.textChars);
    expect(pathsOf(failureEvent, { ...event, response: long })).toEqual([]);
    expect(pathsOf(failureEvent, { ...event, response: `${long}x` })).toEqual(["response"]);
  });
});

describe("a conversation", () => {
  test("ends with the user's turn", () => {
    const answer = { role: "assistant", content: [text("Two.")] };
    expect(conversation.safeParse([user(text("a")), answer]).success).toBe(false);
    expect(conversation.safeParse([user(text("a")), answer, user(text("b"))]).success).toBe(true);
    expect(conversation.safeParse([]).success).toBe(false);
  });

  test("holds at most eight images over all its turns, repeats counted", () => {
    const turns = (n: number) => Array.from({ length: n }, () => user(image, text("a")));
    expect(conversation.safeParse(turns(LIMITS.imagesPerEvent)).success).toBe(true);
    expect(conversation.safeParse(turns(LIMITS.imagesPerEvent + 1)).success).toBe(false);
    expect(imagesOf(conversation.parse(turns(3)))).toEqual([hash, hash, hash]);
  });
});

test("a batch holds 1 to 500 events of any kind", () => {
  const sizes = [0, 1, 500, 501].map((n) => eventsRequest.safeParse({ events: Array(n).fill(null) }).success);
  expect(sizes).toEqual([false, true, true, false]);
});

describe("the policy document", () => {
  test("is whole with every default, and parsing it changes nothing", () => {
    expect(policyDocument.parse(DEFAULT_POLICY)).toEqual(DEFAULT_POLICY);
    expect(policyDocument.parse({ training: { beta: 0.2 } })).toEqual({
      ...DEFAULT_POLICY,
      training: { ...DEFAULT_POLICY.training, beta: 0.2 },
    });
  });

  test("refuses what is out of range or unknown, by its path", () => {
    expect(pathsOf(policyDocument, { scheduler: { capShare: 1.1 } })).toEqual(["scheduler.capShare"]);
    expect(pathsOf(policyDocument, { gate: { confidence: 1 } })).toEqual(["gate.confidence"]);
    expect(pathsOf(policyDocument, { scheduler: { refusalPrior: [0, 0, 0] } })).toEqual(["scheduler.refusalPrior"]);
    expect(pathsOf(policyDocument, { trainer: {} })).toEqual(["body"]);
  });
});

describe("the fields of the policy", () => {
  const fields = policyFields();
  const leaves = (value: unknown, path: string): string[] =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value).flatMap(([key, child]) => leaves(child, path === "" ? key : `${path}.${key}`))
      : [path];

  test("are all there, in the order of the document", () => {
    expect(fields.map(({ path }) => path)).toEqual(leaves(DEFAULT_POLICY, ""));
  });

  test.each(fields)("$path has a sentence, a unit, and bounds that hold its default", ({ path, ...field }) => {
    expect(field.description).toMatch(/^\p{Lu}.*\.$/u);
    expect(field.unit).toBeTypeOf("string");
    const allowed = z.fromJSONSchema({ ...field.schema });
    expect(allowed.parse(field.default)).toEqual(field.default);
    expect(allowed.safeParse({ none: 1 }).success).toBe(false);
    expect(Object.keys(field.schema)).not.toContain("default");
    const [section = "", name = ""] = path.split(".");
    expect(policyDocument.parse({ [section]: { [name]: field.default } })).toEqual(DEFAULT_POLICY);
  });

  test("tell the bounds of numbers and the shape of lists", () => {
    const schemaOf = (path: string) => fields.find((field) => field.path === path)?.schema;
    expect(schemaOf("scheduler.budgetPairs")).toEqual({ type: "integer", minimum: 1, maximum: 100_000 });
    expect(schemaOf("training.objective")).toEqual({ type: "string", enum: ["dpo", "sft"] });
    expect(schemaOf("intake.redactions")).toMatchObject({ items: { required: ["path", "pattern"] }, maxItems: 50 });
  });
});

test("a key request has its report cap by default", () => {
  expect(createKeyRequest.parse({ client: "a", scopes: ["ingest"] }).reportCap).toBe(3);
});

describe("problems", () => {
  test("of a union are told for the alternative that came closest", () => {
    const scored = {
      pairId: "p",
      chosenBefore: -1,
      rejectedBefore: -2,
      chosenAfter: -1,
      rejectedAfter: -3,
      chosenTokens: 3,
    };
    expect(pathsOf(pairReport, { ...scored, rejectedTokens: 0 })).toEqual(["rejectedTokens"]);
    expect(pathsOf(pairReport, { pairId: "p", refused: "" })).toEqual(["refused"]);
  });

  test("are named up to twenty at a time", () => {
    const many = z.array(z.string());
    expect(pathsOf(many, Array(50).fill(0))).toHaveLength(20);
  });
});

test("every error code has a status of an error, and the shape takes it", () => {
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    expect(status).toBeGreaterThanOrEqual(400);
    expect(errorBody.safeParse({ error: { code, message: "m", requestId: "r" } }).success).toBe(true);
  }
  expect(errorBody.safeParse({ error: { code: "teapot", message: "m", requestId: "r" } }).success).toBe(false);
});
