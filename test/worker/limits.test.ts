import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { isLimitViolation, type Usage, usageStatement } from "../../workers/store/usage.ts";
import { keyWith, knock, statusOf } from "./door.ts";
import { expectError } from "./support.ts";

const MINUTE_MS = 60_000;
/** 12.345 s into a minute. */
const NOW_MS = 1_760_000_040_000 + 12_345;
const MINUTE = Math.floor(NOW_MS / MINUTE_MS);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

function usage(keyId: string, fields: Partial<Usage> = {}): Usage {
  return { keyId, minute: MINUTE, events: 0, requests: 0, eventsLimit: 1_000, requestsLimit: 1_000, ...fields };
}

/** @returns whether it was within the limits */
async function use(used: Usage): Promise<boolean> {
  try {
    await usageStatement(env.DB, used).run();
    return true;
  } catch (error) {
    if (isLimitViolation(error)) return false;
    throw error;
  }
}

async function stored(keyId: string) {
  return env.DB.prepare("SELECT minute, events, requests FROM key_usage WHERE key_id = ?1").bind(keyId).first();
}

describe("calls of a key", () => {
  test("are let in to its limit exactly, however many come at once", async () => {
    const { id, key } = await keyWith({ requestsPerMinute: 20 });
    const answers = await Promise.all(Array.from({ length: 50 }, () => statusOf(key)));
    expect(answers.sort()).toEqual([...Array(20).fill(200), ...Array(30).fill(429)]);
    expect(await stored(id)).toEqual({ minute: MINUTE, events: 0, requests: 20 });
  });

  test("above the limit are told when to come again, and are let in then", async () => {
    const { key } = await keyWith({ requestsPerMinute: 1 });
    expect(await statusOf(key)).toBe(200);
    const refused = await knock("/", { authorization: `Bearer ${key}` });
    expect(refused.headers.get("retry-after")).toBe("48");
    expect((await expectError(refused, 429)).code).toBe("rate_limited");
    vi.setSystemTime(NOW_MS + 47_654);
    expect(await statusOf(key), "one millisecond before").toBe(429);
    vi.setSystemTime(NOW_MS + 48_000);
    expect(await statusOf(key)).toBe(200);
  });

  test("of one key cost another nothing", async () => {
    const [busy, quiet] = [await keyWith({ requestsPerMinute: 1 }), await keyWith({ requestsPerMinute: 1 })];
    expect([await statusOf(busy.key), await statusOf(busy.key), await statusOf(quiet.key)]).toEqual([200, 429, 200]);
  });

  test("of the first admin key are not counted", async () => {
    const before = await env.DB.prepare("SELECT COUNT(*) AS n FROM key_usage").first();
    expect(await statusOf("nm_test-admin")).toBe(200);
    expect(await env.DB.prepare("SELECT COUNT(*) AS n FROM key_usage").first()).toEqual(before);
  });
});

describe("what a key uses", () => {
  test("is counted with the change that uses it, or the change does not happen", async () => {
    const { id } = await keyWith();
    const batch = (events: number) =>
      env.DB.batch([
        env.DB.prepare(
          "INSERT INTO audit_log (at, actor, action, subject, details) VALUES (0, 'a', 'b', ?1, '{}')",
        ).bind(id),
        usageStatement(env.DB, usage(id, { events, eventsLimit: 10 })),
      ]);
    const changes = () =>
      env.DB.prepare("SELECT COUNT(*) AS n FROM audit_log WHERE action = 'b' AND subject = ?1").bind(id);
    await batch(7);
    const refusal = await batch(4).catch((error: unknown) => error);
    expect(isLimitViolation(refusal)).toBe(true);
    expect(await changes().first()).toEqual({ n: 1 });
    await batch(3);
    expect(await changes().first()).toEqual({ n: 2 });
    expect(await stored(id)).toEqual({ minute: MINUTE, events: 10, requests: 0 });
  });

  test("is two accounts: events do not use up calls, nor calls events", async () => {
    const { id } = await keyWith();
    const limits = { eventsLimit: 5, requestsLimit: 5 };
    expect(await use(usage(id, { ...limits, events: 5 }))).toBe(true);
    expect(await use(usage(id, { ...limits, requests: 5 }))).toBe(true);
    expect(await use(usage(id, { ...limits, events: 1 }))).toBe(false);
    expect(await use(usage(id, { ...limits, requests: 1 }))).toBe(false);
  });

  test("begins at zero with a newer minute, and a clock that is late counts into the newer one", async () => {
    const { id } = await keyWith();
    await use(usage(id, { events: 900 }));
    expect(await use(usage(id, { minute: MINUTE + 1, events: 800 }))).toBe(true);
    expect(await use(usage(id, { minute: MINUTE, events: 150 }))).toBe(true);
    expect(await stored(id)).toEqual({ minute: MINUTE + 1, events: 950, requests: 0 });
    expect(await use(usage(id, { minute: MINUTE, events: 51 }))).toBe(false);
    expect(await use(usage(id, { minute: MINUTE + 2, events: 51 }))).toBe(true);
  });

  test("never passes a limit, and is refused only where it would", async () => {
    const step = fc.record({
      minutes: fc.integer({ min: -1, max: 1 }),
      events: fc.nat({ max: 6 }),
      requests: fc.nat({ max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const { id } = await keyWith();
        let account = { minute: MINUTE, events: 0, requests: 0 };
        await use(usage(id));
        for (const { minutes, events, requests } of steps) {
          const minute = account.minute + minutes;
          const fresh = minutes > 0 ? { minute, events: 0, requests: 0 } : account;
          const next = { ...fresh, events: fresh.events + events, requests: fresh.requests + requests };
          const fits = next.events <= 10 && next.requests <= 5;
          expect(await use(usage(id, { minute, events, requests, eventsLimit: 10, requestsLimit: 5 }))).toBe(fits);
          if (fits) account = next;
          expect(await stored(id)).toEqual(account);
        }
      }),
      { numRuns: 25 },
    );
  });

  test("of a key that does not exist is an error, not a limit", async () => {
    await expect(use(usage("nobody", { events: 1 }))).rejects.toThrow(/FOREIGN KEY/);
  });
});
