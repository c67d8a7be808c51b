import type { MisbehaviourName } from "./intake.ts";
import { begin, check, equal, failure, type Scenario, settled } from "./world.ts";

const TEMPORARY = [
  "500 at first",
  "503 at first",
  "429 at first",
  "404 at first",
  "a redirect at first",
  "lies at first",
  "an endless answer at first",
  "no answer at first",
  "stored, but the answer is cut at first",
  "no gzip",
] as const satisfies readonly MisbehaviourName[];

function nothingIsLost(name: MisbehaviourName): Scenario {
  return {
    name: `${name}: nothing is lost, nothing is stored twice`,
    async run(world) {
      const { reporter, seen } = begin(world, name);
      const ids = Array.from({ length: 60 }, (_, n) => reporter.report(failure({ response: `answer ${n}` })));
      check(await reporter.flush(30_000), "not everything was sent");
      const { events } = await seen();
      equal(events.map(({ eventId }) => eventId).sort(), ids.sort(), "ids");
      const { stored, duplicate, waiting, waitingBytes, failedRequests } = reporter.stats();
      equal({ sent: stored + duplicate, waiting, waitingBytes }, { sent: 60, waiting: 0, waitingBytes: 0 }, "stats");
      check(failedRequests > 0, "the misbehaviour did not happen");
      await reporter.close();
    },
  };
}

export const DELIVERY: Scenario[] = [
  ...TEMPORARY.map(nothingIsLost),
  {
    name: "a request to wait is kept to",
    async run(world) {
      const { reporter, seen } = begin(world, "429 at first");
      reporter.report(failure());
      check(await reporter.flush(20_000), "not sent");
      const [first, second] = (await seen()).batches;
      check(first !== undefined && second !== undefined, "there were no two requests");
      check(second.atMs - first.atMs >= 990, `tried again after ${second.atMs - first.atMs} ms`);
      await reporter.close();
    },
  },
  {
    name: "batches keep to both limits, in order, and are zipped",
    async run(world) {
      const { reporter, seen } = begin(world, "none");
      const ids = Array.from({ length: 1_200 }, (_, n) =>
        reporter.report(failure({ response: `answer ${n} `.repeat(100) })),
      );
      check(await reporter.flush(30_000), "not everything was sent");
      const { batches, events } = await seen();
      equal(
        events.map(({ eventId }) => eventId),
        ids,
        "order",
      );
      check(batches.length >= 3, `${batches.length} batches`);
      for (const { events, bytes, zipped } of batches) {
        check(events <= 500 && bytes <= 1_000_000 && zipped, `${events} events, ${bytes} bytes, zipped ${zipped}`);
      }
      await reporter.close();
    },
  },
  {
    name: "a pair goes to the pairs",
    async run(world) {
      const { reporter, seen } = begin(world, "none");
      const { model, conversation } = failure();
      const responses: Parameters<typeof reporter.reportPair>[0]["responses"] = [
        { text: "Two dogs.", reward: 0.4 },
        { text: "Three dogs.", reward: 0.1 },
      ];
      const id = reporter.reportPair({ model, conversation, responses });
      check(await reporter.flush(), "not sent");
      const { batches, events } = await seen();
      equal(
        batches.map(({ path }) => path),
        ["/v1/pairs"],
        "path",
      );
      equal(
        events.map(({ eventId, responses }) => [eventId, responses]),
        [[id, responses]],
        "pair",
      );
      await reporter.close();
    },
  },
  {
    name: "results are counted event by event",
    async run(world) {
      const { reporter } = begin(world, "none");
      const occurredAt = 1;
      reporter.report(failure({ eventId: "a", occurredAt }));
      reporter.report(failure({ eventId: "a", occurredAt }));
      reporter.report(failure({ eventId: "a", occurredAt, response: "Other." }));
      reporter.report(failure({ response: "" }));
      check(await reporter.flush(), "not sent");
      const { stored, duplicate, conflict, invalid } = reporter.stats();
      equal({ stored, duplicate, conflict, invalid }, { stored: 1, duplicate: 1, conflict: 1, invalid: 1 }, "stats");
      await reporter.close();
    },
  },
  {
    name: "queued counts as delivered",
    async run(world) {
      const { reporter } = begin(world, "queued for later");
      reporter.report(failure());
      check(await reporter.flush(), "not sent");
      equal(reporter.stats().queued, 1, "queued");
      await reporter.close();
    },
  },
  {
    name: "an event that the API refuses does not cost the others",
    async run(world) {
      const { reporter, seen } = begin(world, "a poisoned event");
      for (let n = 0; n < 100; n++)
        reporter.report(failure({ response: n === 37 || n === 38 ? "poison" : `answer ${n}` }));
      check(await reporter.flush(20_000), "not sent");
      const { stored, invalid } = reporter.stats();
      equal({ stored, invalid }, { stored: 98, invalid: 2 }, "stats");
      equal((await seen()).events.length, 98, "events");
      await reporter.close();
    },
  },
  {
    name: "a batch that is too large on its way is halved until it passes",
    async run(world) {
      const { reporter, seen } = begin(world, "bodies above 20 kB");
      for (let n = 0; n < 100; n++) reporter.report(failure({ response: `answer ${n} `.repeat(200) }));
      check(await reporter.flush(20_000), "not sent");
      equal([reporter.stats().stored, (await seen()).events.length], [100, 100], "stored");
      await reporter.close();
    },
  },
  {
    name: "nobody answers: memory is bounded in events and in bytes, and what is lost is counted",
    async run(world) {
      const problems: string[] = [];
      const { reporter } = begin({ ...world, origin: world.deadOrigin }, "none", {
        queueEvents: 50,
        queueBytes: 100_000,
        onError: ({ what }) => problems.push(what),
      });
      let taken = 0;
      for (let n = 0; n < 200; n++)
        if (reporter.report(failure({ response: "x".repeat(n < 20 ? 10 : 4_000) }))) taken += 1;
      check(!(await reporter.flush(200)), "flush says that all is sent");
      const during = reporter.stats();
      check(
        during.waiting <= 50 && during.waitingBytes <= 100_000,
        `${during.waiting} events, ${during.waitingBytes} bytes`,
      );
      equal([during.waiting, during.dropped], [taken, 200 - taken], "taken and dropped");
      await reporter.close(50);
      const after = reporter.stats();
      equal([after.waiting, after.waitingBytes, after.dropped, settled(after)], [0, 0, 200, 200], "after the end");
      check(problems.includes("unsent") && problems.includes("dropped"), `told: ${problems}`);
    },
  },
  ...(["always 401", "always 403"] as const).map(
    (name): Scenario => ({
      name: `${name}: events are kept, and the API is left alone for long`,
      async run(world) {
        const { reporter, seen } = begin(world, name, { retryMaxMs: 1_000 });
        reporter.report(failure());
        check(!(await reporter.flush(500)), "flush says that all is sent");
        equal([reporter.stats().waiting, (await seen()).requests.length], [1, 1], "waiting, requests");
        await reporter.close(0);
        equal(reporter.stats().dropped, 1, "dropped");
      },
    }),
  ),
  {
    name: "a browser token is used until it is refused, then renewed",
    async run(world) {
      let made = 0;
      const { reporter } = begin(world, "stale token", { token: async () => `nmt_${++made}` });
      for (let n = 0; n < 3; n++) {
        reporter.report(failure());
        check(await reporter.flush(), "not sent");
      }
      equal([made, reporter.stats().stored, reporter.stats().failedRequests], [2, 3, 1], "tokens, stored, failed");
      await reporter.close();
    },
  },
  {
    name: "a token that can not be had, or never comes, costs nobody anything",
    async run(world) {
      const tokens = [
        () => Promise.reject(new Error("no")),
        () => new Promise<string>(() => {}),
        () => 7 as unknown as string,
      ];
      for (const token of tokens) {
        const { reporter, seen } = begin(world, "none", { token, timeoutMs: 50 });
        reporter.report(failure());
        check(!(await reporter.flush(150)), "flush says that all is sent");
        equal([reporter.stats().waiting, (await seen()).requests.length], [1, 0], "waiting, requests");
        await reporter.close(0);
      }
    },
  },
  {
    name: "after close nothing is taken, and closing again is harmless",
    async run(world) {
      const { reporter, seen } = begin(world, "none");
      reporter.report(failure());
      await reporter.close();
      await reporter.close();
      equal(reporter.report(failure()), null, "report");
      equal([reporter.stats().stored, reporter.stats().dropped, (await seen()).events.length], [1, 1, 1], "stats");
    },
  },
];
