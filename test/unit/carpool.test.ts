import fc from "fast-check";
import { expect, test } from "vitest";
import { Carpool, Stranded } from "../../workers/ingest/carpool.ts";

/** Items of requests that come together make one call; each request gets its own result, whatever becomes of the others. */

const pause = (ms: number) => new Promise((resume) => setTimeout(resume, ms));
const alone = () => {};

test("one request alone calls at once", async () => {
  const pool = new Carpool<number, number>(async (items) => items.map((item) => item * 10), {
    group: 9,
    lostMs: 1_000,
  });
  expect(await pool.ride(4, 1, alone)).toBe(40);
});

test("many at once share few calls, and the call outlives its request", async () => {
  const calls: number[][] = [];
  const kept: Promise<unknown>[] = [];
  const pool = new Carpool<number, number>(
    async (items) => {
      calls.push([...items]);
      await pause(5);
      return items;
    },
    { group: 1_000, lostMs: 1_000 },
  );
  const items = Array.from({ length: 40 }, (_, i) => i);
  expect(await Promise.all(items.map((item) => pool.ride(item, 1, (work) => kept.push(work))))).toEqual(items);
  expect(calls.flat()).toEqual(items);
  expect(calls.length).toBeLessThan(5);
  expect(kept.length, "every call was given to be kept alive").toBe(calls.length);
});

test("every item travels exactly once, in order, within the limit, and what fails fails for its own", async () => {
  const item = fc.record({
    weight: fc.integer({ min: 1, max: 12 }),
    fate: fc.constantFrom("good", "good", "refused", "thrown"),
    pause: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 20 }), async (items) => {
      const seen: number[] = [];
      const drive = async (group: readonly number[]) => {
        seen.push(...group);
        const weight = group.reduce((sum, index) => sum + (items[index]?.weight ?? 0), 0);
        expect(weight <= 20 || group.length === 1).toBe(true);
        await pause(1);
        if (group.some((index) => items[index]?.fate === "thrown")) throw new Error("all");
        return group.map((index) => (items[index]?.fate === "refused" ? new Error(`not ${index}`) : index));
      };
      const pool = new Carpool<number, number>(drive, { group: 20, lostMs: 10_000 });
      const rides: Promise<number | string>[] = [];
      for (const [index, { weight, pause: waits }] of items.entries()) {
        rides.push(pool.ride(index, weight, alone).catch((error) => error.message as string));
        if (waits) await pause(0);
      }
      const outcomes = await Promise.all(rides);
      expect(seen).toEqual(items.map((_, index) => index));
      for (const [index, outcome] of outcomes.entries()) {
        const own = { good: index, refused: `not ${index}`, thrown: "all" }[items[index]?.fate ?? "good"];
        expect(["all", own]).toContain(outcome);
      }
    }),
    { numRuns: 40 },
  );
});

test("a driver that is lost strands its passengers after a while, and those who come later go on", async () => {
  let calls = 0;
  const drive = async (items: readonly number[]) => {
    calls += 1;
    return calls === 1 ? new Promise<number[]>(() => {}) : items;
  };
  const pool = new Carpool<number, number>(drive, { group: 10, lostMs: 60 });
  pool.ride(1, 1, alone).catch(() => {}); // never ends: its request was cut off
  const waiting = pool.ride(2, 1, alone);
  await pause(90);
  expect(await pool.ride(3, 1, alone)).toBe(3);
  await expect(
    Promise.race([
      waiting.then(
        () => "arrived",
        (error) => error,
      ),
      pause(500),
    ]),
  ).resolves.toSatisfy((outcome) => outcome === "arrived" || outcome instanceof Stranded);
});
