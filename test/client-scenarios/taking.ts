import type { FailureReport, Problem } from "../../client/src/index.ts";
import { begin, check, equal, failure, KEY, type Scenario, settled } from "./world.ts";

const PIXELS = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 1, 2, 3]);
const PIXELS_URL = `data:image/png;base64,${btoa(String.fromCharCode(...PIXELS))}`;

async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function about(...images: ({ sha256: string } | { image: number })[]): FailureReport["conversation"] {
  return [{ role: "user", content: images.map((image) => ({ type: "image", ...image })) }];
}

/** Nothing that a host may hand over by mistake or malice. */
function hostileEvents(): unknown[] {
  const cycle: Record<string, unknown> = { ...failure() };
  cycle.tags = cycle;
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const thrower = () => {
    throw new Error("SECRET");
  };
  return [
    undefined,
    null,
    7,
    "text",
    [],
    Symbol("s"),
    () => {},
    cycle,
    revoked.proxy,
    new Proxy({}, { ownKeys: thrower }),
    new Proxy([], { get: thrower }),
    Object.defineProperty({}, "model", { enumerable: true, get: thrower }),
    { ...failure(), reward: 10n },
    { ...failure(), reward: Number.NaN },
    { ...failure(), tags: { bytes: new Uint8Array(10_000_000) } },
    { ...failure(), response: "x".repeat(1_000_001) },
    { ...failure(), response: "\u{1F415}".repeat(400_000) },
    { ...failure(), list: Array.from({ length: 100_000 }, () => 0) },
    { ...failure(), list: new Proxy([], { get: (_, key) => (key === "length" ? 2 ** 32 : 0) }) },
    { ...failure(), eventId: "" },
    { ...failure(), eventId: "x".repeat(129) },
    { ...failure(), eventId: 7 },
    { ...failure(), conversation: about({ image: 0 }) },
  ];
}

export const TAKING: Scenario[] = [
  {
    name: "whatever is reported, nothing is thrown, and what can not be sent is counted",
    async run(world) {
      const problems: Problem[] = [];
      const { reporter, seen } = begin(world, "none", { onError: (problem) => problems.push(problem) });
      const hostile = hostileEvents();
      for (const event of hostile) equal(reporter.report(event as FailureReport), null, "report");
      const badImages = [7, "no URL", ["no URL"], [null], [new Uint8Array(8_000_001)], new Proxy({}, { get: () => 7 })];
      for (const images of badImages) {
        const event = failure({
          conversation: about(Array.isArray(images) ? { image: 0 } : { sha256: "ab".repeat(32) }),
        });
        reporter.report(event, images as never, null as never);
      }
      reporter.reportPair(null as never);
      await reporter.flush();
      equal(settled(reporter.stats()), hostile.length + badImages.length + 1, "settled");
      check(reporter.stats().invalid >= hostile.length + 4, `${reporter.stats().invalid} invalid`);
      check(problems.length >= hostile.length, `${problems.length} told`);
      check(!/SECRET|dogs/.test(JSON.stringify(problems)), "a problem quotes the event");
      check((await seen()).events.length <= 2, "a bad event was sent");
      await reporter.close();
    },
  },
  {
    name: "an event is sent as it was when it was reported",
    async run(world) {
      const { reporter, seen } = begin(world, "none");
      const event = failure({ tags: { page: "one" } });
      reporter.report(event);
      event.response = "changed";
      event.tags = { page: "two" };
      check(await reporter.flush(), "not sent");
      equal(
        (await seen()).events.map(({ response, tags }) => [response, tags]),
        [[failure().response, { page: "one" }]],
        "sent",
      );
      await reporter.close();
    },
  },
  {
    name: "ids are unique and grow; the time is the reporter's unless given",
    async run(world) {
      const { reporter, seen } = begin(world, "none");
      const begun = Date.now();
      const ids = Array.from({ length: 5_000 }, () => reporter.report(failure()) ?? "");
      equal([...new Set(ids)].sort(), ids, "ids");
      const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
      check(
        ids.every((id) => pattern.test(id)),
        "an id is no UUID of version 7",
      );
      equal(reporter.report(failure({ eventId: "mine", occurredAt: 5 })), "mine", "own id");
      check(await reporter.flush(20_000), "not sent");
      const { events } = await seen();
      equal(events.at(-1)?.occurredAt, 5, "own time");
      check(Number(events[0]?.occurredAt) >= begun && Number(events[0]?.occurredAt) <= Date.now(), "time");
      await reporter.close();
    },
  },
  {
    name: "images go ahead of their events, once: by hash or by index, as bytes, Blob or data URL",
    async run(world) {
      const { reporter, seen } = begin(world, "none");
      const other = new Uint8Array(300_000).map((_, index) => index % 251);
      const url = `data:;base64,${btoa(Array.from(other, (byte) => String.fromCharCode(byte)).join(""))}`;
      const [first, second] = [await hashOf(PIXELS), await hashOf(other)];
      reporter.report(failure({ conversation: about({ sha256: first }, { sha256: second }) }), {
        [first]: PIXELS,
        [second]: url,
      });
      reporter.report(failure({ conversation: about({ image: 1 }, { image: 0 }, { image: 1 }) }), [
        PIXELS_URL,
        other.buffer,
      ]);
      const frames = [
        { image: 0, timeMs: 0 },
        { sha256: second, timeMs: 40 },
      ];
      reporter.report(failure({ conversation: [{ role: "user", content: [{ type: "video", frames }] }] }), [
        new Blob([PIXELS]),
      ]);
      check(await reporter.flush(), "not sent");
      const { events, images, imagesCameFirst } = await seen();
      equal(images, { [first]: PIXELS.length, [second]: other.length }, "images");
      check(imagesCameFirst, "an event came before its image");
      equal(
        JSON.stringify(events.map(({ conversation }) => conversation)).match(/[0-9a-f]{64}/g),
        [first, second, second, first, second, first, second],
        "hashes",
      );
      equal([reporter.stats().stored, reporter.stats().images], [3, 2], "stats");
      await reporter.close();
    },
  },
  {
    name: "an image that the API refuses, or that is none, does not cost its event",
    async run(world) {
      for (const name of ["images refused", "none"] as const) {
        const { reporter, seen } = begin(world, name);
        const hash = "ab".repeat(32);
        reporter.report(failure({ conversation: about({ sha256: hash }) }), {
          [hash]: name === "none" ? "data:,%20" : PIXELS,
        });
        check(await reporter.flush(), "not sent");
        equal([reporter.stats().stored, reporter.stats().images, (await seen()).events.length], [1, 0, 1], name);
        await reporter.close();
      }
    },
  },
  {
    name: "sampling keeps its share, by event or by key, the same each time, and every correction",
    async run(world) {
      const { reporter } = begin(world, "none", { sampleRate: 0.25, queueEvents: 100_000 });
      for (let n = 0; n < 4_000; n++) reporter.report(failure());
      const { waiting, sampledOut } = reporter.stats();
      check(Math.abs(waiting - 1_000) < 150 && waiting + sampledOut === 4_000, `${waiting} of 4000`);
      const keys = Array.from({ length: 50 }, (_, n) => `user ${n}`);
      const kept = (key: string) => reporter.report(failure(), {}, { sampleKey: key }) !== null;
      equal(keys.map(kept), keys.map(kept), "by key");
      check(keys.some(kept) && !keys.every(kept), "a key decides nothing");
      check(
        keys.every((key) => reporter.report(failure({ correction: "Two." }), {}, { sampleKey: key })),
        "corrections",
      );
      await reporter.close(0);
      const strict = begin(world, "none", { sampleRate: 0, sampleCorrections: true }).reporter;
      equal(strict.report(failure({ correction: "Two." })), null, "a sampled correction");
      await strict.close();
    },
  },
  {
    name: "redaction: what the hook returns is sent, else nothing",
    async run(world) {
      const hook = (event: { tags?: Record<string, string> | undefined }) => {
        const kind = event.tags?.kind;
        if (kind === "throw") throw new Error("SECRET");
        if (kind === "drop") return null;
        if (kind === "promise") return Promise.reject(new Error("late"));
        if (kind === "nothing") return undefined;
        if (kind === "image") return { ...event, conversation: failure().conversation };
        return { ...event, response: "[redacted]", eventId: "other" };
      };
      const { reporter, seen } = begin(world, "none", { redact: hook as never });
      const kinds = ["throw", "drop", "promise", "nothing", "image", "redact"];
      const conversation = about({ image: 0 });
      const ids = kinds.map((kind) => reporter.report(failure({ tags: { kind }, conversation }), [PIXELS]));
      equal(
        ids.map((id) => id !== null),
        [false, false, false, false, true, true],
        "taken",
      );
      check(await reporter.flush(), "not sent");
      const { events, images } = await seen();
      equal(
        events.map(({ eventId }) => eventId),
        ids.slice(4),
        "ids",
      );
      equal(
        events.map(({ response }) => response),
        [failure().response, "[redacted]"],
        "responses",
      );
      equal(Object.keys(images), [await hashOf(PIXELS)], "images");
      const { dropped, redacted, stored } = reporter.stats();
      equal({ dropped, redacted, stored }, { dropped: 3, redacted: 1, stored: 2 }, "stats");
      await reporter.close();
    },
  },
  {
    name: "an image that the redaction hook took out is not sent",
    async run(world) {
      const { reporter, seen } = begin(world, "none", {
        redact: (event) => ({ ...event, conversation: failure().conversation }),
      });
      reporter.report(failure({ conversation: about({ image: 0 }) }), [PIXELS]);
      check(await reporter.flush(), "not sent");
      const { events, requests } = await seen();
      equal([events.length, requests], [1, ["/v1/failures"]], "events and requests");
      await reporter.close();
    },
  },
  {
    name: "a handler that throws, rejects or reports again harms nobody, and what it is told holds no secret",
    async run(world) {
      const told: Problem[] = [];
      const { reporter } = begin(world, "always 500", {
        queueEvents: 3,
        onError(problem) {
          told.push(problem);
          reporter.report(failure());
          if (told.length % 2) throw new Error("handler");
          return Promise.reject(new Error("handler"));
        },
      });
      for (let n = 0; n < 20; n++) reporter.report(failure());
      await reporter.flush(100);
      await reporter.close(0);
      check(told.length > 10, `${told.length} told`);
      check(
        !JSON.stringify(told).includes(KEY) && !JSON.stringify(told).includes("dogs"),
        "a secret or a text is told",
      );
    },
  },
];
