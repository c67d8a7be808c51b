import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { changePolicy } from "../../scripts/loop/policy.ts";
import { waitForEdits } from "../../scripts/loop/turn.ts";
import { type ModelServer, startModelServer } from "../doubles/model-server.ts";
import { startEdge, type TestEdge } from "./support.ts";

const MODEL = "double";
const NUMBERS = ["two", "three", "four", "five", "six", "seven"];
/** A pixel: what the pixels show plays no part here. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

describe("an edge with a configured model", () => {
  let model: ModelServer;
  let edge: TestEdge;
  let reports = 0;

  beforeAll(async () => {
    model = await startModelServer((prompt) => /There are \w+ cats\b[^"\n<]*\./.exec(prompt)?.[0] ?? "");
    edge = await startEdge({ EDITOR_BASE_URL: model.url, EDITOR_MODEL: MODEL, EDITOR_API_KEY: "sk-secret" });
    await changePolicy(edge.api, [
      ["editor.modelTimeoutMs", 500],
      ["editor.ownAnswerFirst", false],
      ["scheduler.budgetPairs", 12],
      ["scheduler.capShare", 1],
    ]);
  });
  afterAll(async () => {
    await edge.close();
    await model.close();
  });

  /** Reports right counts, lets a tick order edits of them, and tells who made them. */
  async function editsOf(slot: string) {
    const key = await edge.key("ingest");
    const send = (method: string, path: string, body: Uint8Array<ArrayBuffer> | string) =>
      fetch(edge.url + path, { method, headers: { authorization: `Bearer ${key}` }, body });
    const images = Array.from({ length: 3 }, () => `${(reports++).toString(16)}`);
    const events = await Promise.all(
      images.flatMap((salt) => {
        // A few bytes behind the image's end make another hash of the same picture.
        const png = new Uint8Array([...PNG, ...Buffer.from(salt)]);
        const sha256 = createHash("sha256").update(png).digest("hex");
        return NUMBERS.map(async (number) => {
          expect((await send("PUT", `/v1/images/${sha256}`, png)).ok).toBe(true);
          const question = { type: "text", text: "How many cats are there?" };
          return {
            eventId: `${salt}-${number}`,
            occurredAt: Date.now(),
            model: "test",
            conversation: [{ role: "user", content: [{ type: "image", sha256 }, question] }],
            response: `There are ${number} cats on mat ${salt}.`,
            rating: "up",
            task: "counting",
            language: "en",
          };
        });
      }),
    );
    expect((await send("POST", "/v1/failures", JSON.stringify({ events }))).status).toBe(200);
    const tick = await edge.api.tick(slot, 1);
    return await waitForEdits(edge.api, tick.id);
  }

  it("has its edits made by the model", async () => {
    const edits = await editsOf("good");
    expect(edits.asked).toBeGreaterThan(0);
    expect(edits.editors).toEqual({ [MODEL]: edits.asked });
    expect(edits.accepted).toBeGreaterThan(0);
  });

  it.each(["fails", "babbles", "hangs"] as const)("goes on with the built-in editor when the model %s", async (how) => {
    model.behave(how);
    const before = model.calls();
    const edits = await editsOf(how);
    expect(model.calls()).toBeGreaterThan(before);
    expect(edits.asked).toBeGreaterThan(0);
    expect(edits.editors).toEqual({ builtin: edits.asked });
    expect(edits.failed).toBe(0);
    expect(edits.accepted).toBeGreaterThan(0);
  });

  it("goes on with the built-in editor when nobody listens any more", async () => {
    await model.close();
    const edits = await editsOf("gone");
    expect(edits.editors).toEqual({ builtin: edits.asked });
    expect(edits.accepted).toBeGreaterThan(0);
  });
});
