import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventResult } from "../../shared/contracts/ingest.ts";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { readEvent } from "../../workers/ingest/read-event.ts";
import { columnsOf, type Submission, storeFailures } from "../../workers/store/failures.ts";
import { countRows, createKey, postEvents, prompt, type TestKey, testEvent } from "./support.ts";

/** Whatever is retried, reordered or cut off: an acknowledged event is stored once, and counted once. */

interface Counts {
  total_failures: number;
  new_failures: number;
  total_exposures: number;
  new_exposures: number;
}

async function countsByRegion(): Promise<Record<string, Counts>> {
  const { results } = await env.DB.prepare(
    "SELECT key, total_failures, new_failures, total_exposures, new_exposures FROM regions ORDER BY key",
  ).all<Counts & { key: string }>();
  return Object.fromEntries(results.map(({ key, ...counts }) => [key, counts]));
}

/** The same counts, worked out anew from the stored events. */
async function expectedCounts(): Promise<Record<string, Counts>> {
  const { results } = await env.DB.prepare(
    "SELECT client_id, verdict, region, report_cap FROM failures JOIN clients ON clients.id = client_id ORDER BY region",
  ).all<{ client_id: string; verdict: string; region: string; report_cap: number }>();
  const judged = results.filter((row) => row.verdict !== "unjudged");
  const cell = (region: string) => {
    const [task, , language, modality] = region.split("/");
    return `${task}/${language}/${modality}`;
  };
  return Object.fromEntries(
    judged.map(({ region }) => {
      const exposures = judged.filter((row) => cell(row.region) === cell(region)).length;
      const wrong = judged.filter((row) => row.verdict === "wrong" && row.region === region);
      const perClient = Map.groupBy(wrong, (row) => row.client_id);
      const counted = [...perClient.values()].map((rows) => Math.min(rows.length, rows[0]?.report_cap ?? 0));
      const newFailures = counted.reduce((sum, n) => sum + n, 0);
      return [
        region,
        {
          total_failures: wrong.length,
          new_failures: newFailures,
          total_exposures: exposures,
          new_exposures: exposures,
        },
      ];
    }),
  );
}

async function expectSoundStore() {
  expect(await countsByRegion()).toEqual(await expectedCounts());
  const unsound = await env.DB.prepare(
    `SELECT f.event_id FROM failures f LEFT JOIN sources s ON s.failure_id = f.id
     GROUP BY f.id
     HAVING COUNT(s.id) <> (f.verdict = 'right' OR (f.verdict = 'wrong' AND f.reference IS NOT NULL))`,
  ).all();
  expect(unsound.results, "events with too many or too few sources").toEqual([]);
}

const batchOf = (name: string) => [
  testEvent(`${name} wrong`),
  testEvent(`${name} right`, { response: "There are two dogs." }),
  testEvent(`${name} unjudged`, { reference: undefined }),
  testEvent(`${name} other`, { task: "colour", errorType: "attribute" }),
];

test("a blind retry, three times", async () => {
  const client = await createKey(["ingest"]);
  const batch = batchOf("retry");
  const statuses: string[][] = [];
  for (let i = 0; i < 4; i++) statuses.push((await postEvents(client.key, batch)).map((result) => result.status));
  expect(statuses).toEqual([Array(4).fill("stored"), ...Array(3).fill(Array(4).fill("duplicate"))]);
  await expectSoundStore();
});

test("eight identical requests at once", async () => {
  const client = await createKey(["ingest"]);
  const batch = batchOf("race");
  const before = await countRows("failures");
  const answers = await Promise.all(Array.from({ length: 8 }, () => postEvents(client.key, batch)));
  for (const index of batch.keys()) {
    const statuses = answers.map((results) => results[index]?.status).sort();
    expect(statuses).toEqual([...Array(7).fill("duplicate"), "stored"]);
  }
  expect(await countRows("failures")).toBe(before + batch.length);
  await expectSoundStore();
});

test("random batches with duplicates and conflicts, some at once, in any order", async () => {
  let run = 0;
  const variants: Record<string, unknown>[] = [
    {},
    { response: "There are four dogs." },
    { response: "There are two dogs." },
    { reference: undefined, rating: "down" },
    { reference: undefined },
    { errorType: "count-far" },
    { task: "spatial", errorType: "role-swap", conversation: prompt("Where is the dog?") },
    { task: "spatial", errorType: "position-inversion", conversation: prompt("Where is the dog?") },
    { language: "de", correction: "Zwei." },
  ];
  const event = fc.record({ id: fc.nat(5), variant: fc.nat(variants.length - 1) });
  const batch = fc.array(event, { minLength: 1, maxLength: 8 });
  const waves = fc.array(fc.array(batch, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 });

  await fc.assert(
    fc.asyncProperty(waves, fc.integer({ min: 1, max: 4 }), async (sent, reportCap) => {
      const client = await createKey(["ingest"], { reportCap });
      run += 1;
      const outcomes: { id: number; variant: number; status: EventResult["status"] }[] = [];
      for (const wave of sent) {
        const answers = await Promise.all(
          wave.map((events) =>
            postEvents(
              client.key,
              events.map(({ id, variant }) => testEvent(`run ${run} event ${id}`, variants[variant])),
            ),
          ),
        );
        wave.forEach((events, i) => {
          events.forEach((each, j) => {
            outcomes.push({ ...each, status: answers[i]?.[j]?.status ?? "invalid" });
          });
        });
      }
      for (const [, ofId] of Map.groupBy(outcomes, (outcome) => outcome.id)) {
        const stored = ofId.filter((outcome) => outcome.status === "stored");
        expect(stored).toHaveLength(1);
        const others = ofId.filter((outcome) => outcome.status !== "stored");
        for (const other of others) {
          expect(other.status).toBe(other.variant === stored[0]?.variant ? "duplicate" : "conflict");
        }
      }
      await expectSoundStore();
    }),
    { numRuns: 40 },
  );
});

describe("when the database stumbles", () => {
  /** The database, but its next batches end as told. */
  function stumbling(...endings: ("before" | "after" | "poisoned")[]): D1Database {
    const batch = async (statements: D1PreparedStatement[]) => {
      const ending = endings.shift();
      if (ending === "before") throw new Error("D1_ERROR: Network connection lost.");
      const poison = ending === "poisoned" ? [env.DB.prepare("INSERT INTO images (sha256) VALUES (NULL)")] : [];
      const results = await env.DB.batch([...statements, ...poison]);
      if (ending === "after") throw new Error("D1_ERROR: Network connection lost.");
      return results;
    };
    return new Proxy(env.DB, {
      get: (db, name) => (name === "batch" ? batch : (Reflect.get(db, name) as () => unknown).bind(db)),
    });
  }

  const reading = {
    kind: "failure",
    policy: DEFAULT_POLICY.intake,
    onlyModel: null,
    isKnownAdapter: async () => true,
  } as const;

  async function submissionOf(client: TestKey, events: readonly unknown[]): Promise<Submission> {
    const read = await Promise.all(events.map((event, index) => readEvent(event, index, reading)));
    const valid = read.flatMap((event) => ("failure" in event ? [event.failure] : []));
    return { clientId: client.clientId, reportCap: 3, receivedAt: 1, events: valid };
  }

  test("before the commit, the write is repeated", async () => {
    const submission = await submissionOf(await createKey(["ingest"]), batchOf("stumble"));
    expect(await storeFailures(stumbling("before", "before"), [submission], [])).toEqual([Array(4).fill("stored")]);
    await expectSoundStore();
  });

  test("after the commit, whose answer is lost, the repeated write finds its own rows and counts nothing again", async () => {
    const submission = await submissionOf(await createKey(["ingest"]), batchOf("lost"));
    const before = await countRows("failures");
    expect(await storeFailures(stumbling("after", "after"), [submission], [])).toEqual([Array(4).fill("stored")]);
    expect(await storeFailures(env.DB, [submission], [])).toEqual([Array(4).fill("duplicate")]);
    expect(await countRows("failures")).toBe(before + 4);
    await expectSoundStore();
  });

  test("for so long that it gives up, the same events can be sent again", async () => {
    const submission = await submissionOf(await createKey(["ingest"]), batchOf("given up"));
    const down = stumbling("before", "before", "before", "before");
    await expect(storeFailures(down, [submission], [])).rejects.toThrow(/connection lost/);
    const unlucky = stumbling("after", "before", "before", "before");
    await expect(storeFailures(unlucky, [submission], [])).rejects.toThrow(/connection lost/);
    expect(await storeFailures(env.DB, [submission], [])).toEqual([Array(4).fill("duplicate")]);
    await expectSoundStore();
  });

  test("in the middle, nothing of the group is stored", async () => {
    const [one, two] = [await createKey(["ingest"]), await createKey(["ingest"])];
    const tables = ["failures", "sources", "regions", "region_levels", "region_reports"];
    const before = await Promise.all(tables.map(countRows));
    const batch = [...batchOf("poison"), testEvent("poison new", { language: "fr" })];
    const submissions = [await submissionOf(one, batch), await submissionOf(two, batch)];
    await expect(storeFailures(stumbling("poisoned"), submissions, [])).rejects.toThrow(/NOT NULL/);
    expect(await Promise.all(tables.map(countRows))).toEqual(before);
    await expectSoundStore();
    const states = await storeFailures(env.DB, submissions, []);
    expect(states.flat()).toEqual(Array(10).fill("stored"));
    await expectSoundStore();
  });
});

test("a group of many clients' requests is one commit, and each event has its own state", async () => {
  const id = fc.nat(3);
  const wave = fc.array(fc.record({ client: fc.nat(2), id, variant: fc.nat(2) }), { minLength: 1, maxLength: 12 });
  const clients = await Promise.all([0, 1, 2].map(() => createKey(["ingest"])));
  const before = await countRows("failures");
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(wave, { minLength: 1, maxLength: 3 }), async (waves) => {
      run += 1;
      const stands = new Map<string, number>();
      for (const events of waves) {
        const submissions = events.map((event): Submission => {
          const eventId = `group ${run} ${event.id}`;
          const content = String(event.variant).repeat(64);
          const columns = columnsOf({
            kind: "failure",
            occurredAt: 1,
            model: "m",
            adapter: null,
            conversation: [],
            response: "r",
            reference: null,
            verdict: "unjudged",
            region: "other/attribute/und/text",
            details: null,
            held: null,
            images: [],
            split: null,
            polarity: null,
          });
          const failure = {
            eventId,
            contentSha256: content,
            verdict: "unjudged" as const,
            tagged: false,
            held: false,
            columns,
          };
          const clientId = clients[event.client]?.clientId ?? "";
          const events = [{ ...failure, region: "other/attribute/und/text" }];
          return { clientId, reportCap: 3, receivedAt: 1, events };
        });
        const states = await storeFailures(env.DB, submissions, []);
        events.forEach((event, index) => {
          const name = `${event.client} ${event.id}`;
          const stood = stands.get(name);
          const expected = stood === undefined ? "stored" : stood === event.variant ? "duplicate" : "conflict";
          expect(states[index]).toEqual([expected]);
          if (stood === undefined) stands.set(name, event.variant);
        });
      }
    }),
    { numRuns: 40 },
  );
  expect(await countRows("failures")).toBeGreaterThan(before);
  await expectSoundStore();
});
