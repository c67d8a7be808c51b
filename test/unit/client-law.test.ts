import fc from "fast-check";
import { expect, test } from "vitest";
import { Reporter } from "../../client/src/index.ts";
import { Intake } from "../client-scenarios/intake.ts";
import { failure, settled } from "../client-scenarios/world.ts";

/** Whatever the API does, every reported event ends exactly once: delivered, refused, dropped, or still waiting. */

const behaviour = fc.constantFrom("good", "good", "500", "429", "refuse", "lose", "break", "nonsense");
const word = fc.oneof(
  { weight: 8, arbitrary: fc.string({ minLength: 1, maxLength: 60 }) },
  fc.constantFrom("", "poison"),
);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ response: word, eventId: fc.option(fc.constantFrom("a", "b"), { nil: undefined }) }),
  },
  { weight: 1, arbitrary: fc.constant("wait" as const) },
);
const reason = { large: "x".repeat(400_000) };

function misbehaving(intake: Intake, behaviours: readonly string[]): typeof fetch {
  let call = 0;
  return async (input, init) => {
    const request = new Request(input, init);
    const how = behaviours[call++ % behaviours.length];
    if (how === "break") throw new TypeError("fetch failed");
    if (how === "500") return new Response("", { status: 500 });
    if (how === "429") return new Response("", { status: 429, headers: { "retry-after": "0" } });
    const answer = await intake.answer(request, new URL(request.url).pathname, ({ events }) => {
      const isPoisoned = events.some(({ response }) => response === "poison");
      return how === "refuse" || isPoisoned ? new Response("", { status: 400 }) : undefined;
    });
    if (how === "lose") throw new TypeError("connection reset");
    return how === "nonsense" ? new Response("{}") : answer;
  };
}

test("every event ends exactly once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.array(behaviour, { minLength: 1, maxLength: 6 }),
      fc.record({
        queueEvents: fc.integer({ min: 1, max: 80 }),
        large: fc.boolean(),
        flushMs: fc.integer({ min: 0, max: 40 }),
      }),
      async (steps, behaviours, { queueEvents, large, flushMs }) => {
        const intake = new Intake();
        const fetch = misbehaving(intake, behaviours);
        const timing = { lingerMs: 0, retryFirstMs: 1, retryMaxMs: 2 };
        const reporter = new Reporter({ baseUrl: "http://intake.test", key: "nm_k", fetch, queueEvents, ...timing });
        const taken: string[] = [];
        const sendable = new Set<string>();
        let reported = 0;
        for (const one of steps) {
          if (one === "wait") await reporter.flush(5);
          else {
            reported += 1;
            const { response, eventId } = one;
            const fields = { response, ...(eventId && { eventId }), ...(large && { tags: reason }) };
            const id = reporter.report(failure(fields));
            if (id !== null) taken.push(id);
            if (id !== null && !["", "poison"].includes(one.response)) sendable.add(id);
          }
          const { waiting } = reporter.stats();
          expect(waiting).toBeLessThanOrEqual(queueEvents);
          expect(settled(reporter.stats())).toBe(reported);
        }
        const isDone = await reporter.flush(flushMs);
        expect(isDone).toBe(reporter.stats().waiting === 0);
        await reporter.close(0);
        const { stored, duplicate, conflict, invalid, dropped, waiting, waitingBytes } = reporter.stats();
        expect({ waiting, waitingBytes }).toEqual({ waiting: 0, waitingBytes: 0 });
        expect(stored + duplicate + conflict + invalid + dropped).toBe(reported);
        // The API never has what was not taken; what is counted as delivered, it has.
        const kept = new Set(intake.events.keys());
        expect([...kept].every((id) => taken.includes(id))).toBe(true);
        expect(kept.size).toBeGreaterThanOrEqual(stored);
        if (isDone && !behaviours.includes("refuse")) expect([...sendable].filter((id) => !kept.has(id))).toEqual([]);
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);
