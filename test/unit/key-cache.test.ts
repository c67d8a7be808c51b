import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KEY_CACHE_MAX, KEY_CACHE_MS, KeyCache } from "../../workers/http/key-cache.ts";
import type { LiveKey } from "../../workers/store/keys.ts";

describe("the keys that are held", () => {
  const liveKey = (n: number): LiveKey => ({
    id: `id-${n}`,
    keySha256: `hash-${n}`,
    clientId: "c",
    reportCap: 1,
    scopes: [],
    eventsPerMinute: 1,
    requestsPerMinute: 1,
    expiresAt: null,
  });
  const names = (n: number) => [{ id: `id-${n}` }, { keySha256: `hash-${n}` }] as const;
  const never = () => Promise.reject(new Error("must be held"));

  test("are so many at most, the one loaded first leaves, and both its names go", async () => {
    const cache = new KeyCache();
    for (let n = 0; n <= KEY_CACHE_MAX; n++) await cache.get({ keySha256: `hash-${n}` }, 0, async () => liveKey(n));
    expect(cache.size).toBe(KEY_CACHE_MAX);
    for (const name of names(0)) await expect(cache.get(name, 0, never)).rejects.toThrow("must be held");
    for (const name of [...names(1), ...names(KEY_CACHE_MAX)]) expect(await cache.get(name, 0, never)).not.toBeNull();
  });

  test("do not include one that was read before it was revoked, and arrives after", async () => {
    const cache = new KeyCache();
    const read = Promise.withResolvers<LiveKey>();
    const early = cache.get({ id: "id-1" }, 0, () => read.promise);
    cache.forget("id-1");
    read.resolve(liveKey(1));
    expect(await early).toEqual(liveKey(1));
    expect(await cache.get({ id: "id-1" }, 0, async () => null)).toBeNull();
  });

  test("are as the database had them at most 20 s ago, and never as before a change made here", async () => {
    const key = fc.nat({ max: 3 });
    const step = fc.oneof(
      fc.record({ do: fc.constant("get" as const), key, by: fc.nat({ max: 1 }) }),
      fc.record({ do: fc.constantFrom("change", "change elsewhere"), key }),
      fc.record({ do: fc.constant("wait" as const), ms: fc.nat({ max: KEY_CACHE_MS }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const cache = new KeyCache();
        /** Every version of a key, with the time at which it was superseded. */
        const versions = Array.from({ length: 4 }, () => [{ cap: 0, until: Number.POSITIVE_INFINITY }]);
        let nowMs = 0;
        for (const taken of steps) {
          if ("ms" in taken) {
            nowMs += taken.ms;
            continue;
          }
          const history = versions[taken.key] ?? [];
          const newest = history.at(-1);
          if (!newest) throw new Error("a key has a version");
          if ("by" in taken) {
            const name = names(taken.key)[taken.by] ?? { id: "" };
            const got = await cache.get(name, nowMs, async () => ({ ...liveKey(taken.key), reportCap: newest.cap }));
            const version = history.find(({ cap }) => cap === got?.reportCap);
            expect(version?.until).toBeGreaterThan(nowMs - KEY_CACHE_MS);
          } else {
            newest.until = taken.do === "change" ? Number.NEGATIVE_INFINITY : nowMs;
            if (taken.do === "change") for (const old of history) old.until = Number.NEGATIVE_INFINITY;
            history.push({ cap: newest.cap + 1, until: Number.POSITIVE_INFINITY });
            if (taken.do === "change") cache.forget(`id-${taken.key}`);
          }
        }
      }),
    );
  });
});
