import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  createKey,
  freshLanguage,
  postEvents,
  prompt,
  regionCounts,
  rowsOf,
  type TestKey,
  testEvent,
} from "./support.ts";

/** What becomes of a stored event: its verdict, its counts, its source. */

let client: TestKey;
beforeAll(async () => {
  client = await createKey(["ingest"], { reportCap: 1_000 });
});

/** Regions are counted, so each test has its own language. */
let language: string;
beforeEach(() => {
  language = freshLanguage();
});
const ours = (eventId: string, fields: Record<string, unknown> = {}) => testEvent(eventId, { language, ...fields });

describe("verdicts", () => {
  const told = { reference: undefined, correction: undefined };
  test.each([
    ["rated down", { ...told, rating: "down" }, "wrong", null],
    ["a differing reference", {}, "wrong", { answer: "There are two dogs.", own_answer: "There are three dogs." }],
    [
      "a correction, which wins over the reference",
      { correction: "Two." },
      "wrong",
      { answer: "Two.", own_answer: "There are three dogs." },
    ],
    ["rated up", { ...told, rating: "up" }, "right", { answer: "There are three dogs.", own_answer: null }],
    [
      "the reference itself, but for case, spaces and the full stop",
      { reference: "there are  THREE dogs" },
      "right",
      { answer: "there are  THREE dogs", own_answer: null },
    ],
    ["nothing said", told, "unjudged", null],
  ])("%s", async (name, fields, verdict, source) => {
    await postEvents(client.key, [ours(name, fields)]);
    expect((await rowsOf("failures", client.clientId, name))[0]).toMatchObject({ verdict });
    const sources = await rowsOf("sources", client.clientId, name);
    expect(sources).toEqual(source ? [expect.objectContaining(source)] : []);
    const { failures = 0, exposures = 0 } = (await regionCounts(language))["counting/count-near/image"] ?? {};
    expect({ failures, exposures }).toEqual({
      failures: verdict === "wrong" ? 1 : 0,
      exposures: verdict === "unjudged" ? 0 : 1,
    });
  });
});

describe("statistics", () => {
  test("a judged event exposes all regions of its task, language and modality, in whatever order they appear", async () => {
    const far = ours("far", { errorType: "count-far" });
    const near = ours("near");
    const right = ours("right", { response: "There are two dogs." });
    const elsewhere = ours("text only", { conversation: prompt("How many dogs are there?") });
    for (const event of [right, near, elsewhere, far]) await postEvents(client.key, [event]);
    const apart = await regionCounts(language);
    expect(apart).toEqual({
      "counting/count-near/image": { failures: 1, counted: 1, exposures: 3 },
      "counting/count-far/image": { failures: 1, counted: 1, exposures: 3 },
      "counting/count-near/text": { failures: 1, counted: 1, exposures: 1 },
    });
    language = freshLanguage();
    const again = [far, elsewhere, right, near].map((event) => ({ ...event, eventId: `${event.eventId} b`, language }));
    await postEvents(client.key, again);
    expect(await regionCounts(language)).toEqual(apart);
  });

  test("a region seen for the first time has its levels, and its error type its difficulties", async () => {
    await postEvents(client.key, [ours("levels", { task: "ocr", errorType: "text-misread" })]);
    const levels = await env.DB.prepare("SELECT level, attempted FROM region_levels WHERE region = ?1 ORDER BY level")
      .bind(`ocr/text-misread/${language}/image`)
      .all();
    expect(levels.results).toEqual([1, 2, 3, 4].map((level) => ({ level, attempted: 0 })));
    const difficulties = await env.DB.prepare(
      "SELECT level, difficulty FROM difficulties WHERE error_type = 'text-misread' ORDER BY level",
    ).all();
    expect(difficulties.results.map((row) => row.difficulty)).toEqual([-1.5, -0.5, 0.5, 1.5]);
  });

  test("of one client only so many reports count per region and tick, in one request or in many", async () => {
    const [small, gateway] = [await createKey(["ingest"]), await createKey(["ingest"], { reportCap: 10 })];
    const wrong = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => ours(`cap ${from + i}`, { task: "size", errorType: "attribute" }));
    const region = async () => (await regionCounts(language))["size/attribute/image"];

    await postEvents(small.key, wrong(0, 2));
    expect(await region()).toEqual({ failures: 2, counted: 2, exposures: 2 });
    await postEvents(small.key, wrong(2, 9));
    await postEvents(small.key, wrong(9, 12));
    expect(await region()).toEqual({ failures: 12, counted: 3, exposures: 12 });
    await postEvents(gateway.key, wrong(0, 25));
    expect(await region()).toEqual({ failures: 37, counted: 13, exposures: 37 });
    await postEvents(small.key, [ours("other region", { task: "object", errorType: "identity" })]);
    expect((await regionCounts(language))["object/identity/image"]?.counted).toBe(1);

    await env.DB.prepare("DELETE FROM region_reports").run(); // as a tick does
    await postEvents(small.key, wrong(12, 20));
    expect((await region())?.counted).toBe(16);
  });
});

describe("sources", () => {
  test("of a right answer stand in the first region of its task, whatever error was told", async () => {
    await postEvents(client.key, [ours("praised", { reference: undefined, rating: "up", errorType: "count-far" })]);
    expect((await rowsOf("sources", client.clientId, "praised"))[0]?.error_type).toBe("count-near");
    expect(Object.keys(await regionCounts(language))).toEqual(["counting/count-near/image"]);
  });

  test("stand on the side of their images", async () => {
    const [train, gate] = ["ff".repeat(32), "0".repeat(64)];
    const sides = { train: [train], gate: [gate], mixed: [train, gate], text: [] as string[] };
    await postEvents(
      client.key,
      Object.entries(sides).map(([id, images]) =>
        ours(`split ${id}`, { conversation: prompt("How many?", ...images) }),
      ),
    );
    const splits = Object.keys(sides).map(
      async (id) => (await rowsOf("sources", client.clientId, `split ${id}`))[0]?.split,
    );
    expect(await Promise.all(splits)).toEqual(["train", "gate", "mixed", "train"]);
    expect((await rowsOf("sources", client.clientId, "split mixed"))[0]?.modality).toBe("multi-image");
  });

  test("know the side of a yes/no answer in English", async () => {
    const existence = (id: string, reference: string, fields = {}) =>
      ours(id, {
        task: "existence",
        errorType: "negation",
        response: "Perhaps.",
        reference,
        language: "en-GB",
        ...fields,
      });
    await postEvents(client.key, [
      existence("y", "Yes, there is."),
      existence("n", "no"),
      existence("neither", "Nobody is there."),
      existence("foreign", "No, no hay.", { language: "es" }),
    ]);
    const sides = ["y", "n", "neither", "foreign"].map(
      async (id) => (await rowsOf("sources", client.clientId, id))[0]?.polarity,
    );
    expect(await Promise.all(sides)).toEqual(["yes", "no", null, null]);
  });
});
