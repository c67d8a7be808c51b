import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { DEFAULT_POLICY, type SpendingPolicy, spendingPolicy } from "../../shared/contracts/policy.ts";
import { type ChatModel, type Completion, ModelFailure } from "../../workers/model/chat.ts";
import { paid, promptTokensAtMost } from "../../workers/model/paid.ts";
import { OutOfFunds, Purse } from "../../workers/model/purse.ts";
import {
  fundsOf,
  listSpending,
  RESERVATION_MS,
  type Reservation,
  reserve,
  settle,
  sweepReservations,
} from "../../workers/store/spending.ts";
import { emptyLoop, rows } from "./fixtures.ts";

/** What models may use in a day is never passed, whoever asks at once and whatever breaks between a reservation and its end. */

const NOON = Date.UTC(2026, 0, 31, 12);
const LIMITS = { tokensPerDay: 1_000, microsPerDay: 500 };

beforeEach(emptyLoop);

interface Day {
  readonly reserved: number;
  readonly spent: number;
  readonly microsReserved: number;
  readonly microsSpent: number;
}
async function days(): Promise<Day[]> {
  return rows<Day>(
    `SELECT tokens_reserved AS reserved, tokens_spent AS spent, micros_reserved AS microsReserved,
            micros_spent AS microsSpent FROM spending ORDER BY day`,
  );
}
async function reserved(amount: { tokens: number; micros: number }, now = NOON): Promise<Reservation> {
  const made = await reserve(env.DB, amount, LIMITS, now);
  if (!made) throw new Error("the day's limit is reached");
  return made;
}

describe("a reservation", () => {
  test("fifty at once never pass the limit, and as many are made as fit", async () => {
    const asked = Array.from({ length: 50 }, () => reserve(env.DB, { tokens: 30, micros: 0 }, LIMITS, NOON));
    const made = (await Promise.all(asked)).filter((one) => one !== null);
    expect(made).toHaveLength(33);
    expect(new Set(made.map(({ id }) => id)).size).toBe(33);
    expect(await days()).toEqual([{ reserved: 990, spent: 0, microsReserved: 0, microsSpent: 0 }]);
    expect(await rows("SELECT count(*) AS n FROM reservations")).toEqual([{ n: 33 }]);
  });

  test("tokens and money each limit by themselves; what costs nothing is not refused for money", async () => {
    await reserved({ tokens: 10, micros: 500 });
    expect(await reserve(env.DB, { tokens: 10, micros: 1 }, LIMITS, NOON)).toBeNull();
    await reserved({ tokens: 990, micros: 0 });
    expect(await reserve(env.DB, { tokens: 1, micros: 0 }, LIMITS, NOON)).toBeNull();
    expect(await reserve(env.DB, { tokens: 1, micros: 0 }, { tokensPerDay: 0, microsPerDay: 0 }, 0)).toBeNull();
  });

  test("settled, it leaves what was used and frees the rest", async () => {
    const one = await reserved({ tokens: 800, micros: 400 });
    expect(await reserve(env.DB, { tokens: 300, micros: 0 }, LIMITS, NOON)).toBeNull();
    await settle(env.DB, one, { tokens: 650, micros: 10 });
    expect(await days()).toEqual([{ reserved: 0, spent: 650, microsReserved: 0, microsSpent: 10 }]);
    await reserved({ tokens: 350, micros: 490 });
  });

  test("counts once, however often and however concurrently it is settled", async () => {
    const one = await reserved({ tokens: 100, micros: 50 });
    await reserved({ tokens: 100, micros: 50 });
    await Promise.all(Array.from({ length: 5 }, () => settle(env.DB, one, { tokens: 60, micros: 5 })));
    await settle(env.DB, one, { tokens: 99, micros: 9 });
    expect(await days()).toEqual([{ reserved: 100, spent: 60, microsReserved: 50, microsSpent: 5 }]);
  });

  test("of a server that used twice what it promised: the excess is spent, and refuses others", async () => {
    const one = await reserved({ tokens: 500, micros: 0 });
    await settle(env.DB, one, { tokens: 1_000, micros: 0 });
    expect(await days()).toMatchObject([{ reserved: 0, spent: 1_000 }]);
    expect(await reserve(env.DB, { tokens: 1, micros: 0 }, LIMITS, NOON)).toBeNull();
    expect(await fundsOf(env.DB, { spending: { ...DEFAULT_POLICY.spending, ...LIMITS } }, NOON, true)).toEqual({
      tokens: 0,
      micros: null,
    });
  });

  test("whose holder crashed counts as spent in full, once, and only when it is old", async () => {
    const lost = await reserved({ tokens: 700, micros: 70 });
    await reserved({ tokens: 100, micros: 10 }, NOON + 1_000);
    expect(await sweepReservations(env.DB, NOON + RESERVATION_MS)).toBe(0);
    expect(await sweepReservations(env.DB, NOON + RESERVATION_MS + 1)).toBe(1);
    expect(await sweepReservations(env.DB, NOON + RESERVATION_MS + 1)).toBe(0);
    const after = { reserved: 100, spent: 700, microsReserved: 10, microsSpent: 70 };
    expect(await days()).toEqual([after]);
    await settle(env.DB, lost, { tokens: 1, micros: 1 });
    expect(await days()).toEqual([after]);
  });

  test("belongs to the day on which it was made, also when it ends after midnight (UTC)", async () => {
    const midnight = Date.UTC(2026, 1, 1);
    const late = await reserved({ tokens: 1_000, micros: 0 }, midnight - 1);
    expect(await reserve(env.DB, { tokens: 1, micros: 0 }, LIMITS, midnight - 1)).toBeNull();
    await reserved({ tokens: 1_000, micros: 0 }, midnight);
    await settle(env.DB, late, { tokens: 400, micros: 0 });
    expect(await listSpending(env.DB, 30)).toEqual([
      { day: "2026-02-01", tokensReserved: 1_000, tokensSpent: 0, microsReserved: 0, microsSpent: 0 },
      { day: "2026-01-31", tokensReserved: 0, tokensSpent: 400, microsReserved: 0, microsSpent: 0 },
    ]);
    expect((await listSpending(env.DB, 1)).map(({ day }) => day)).toEqual(["2026-02-01"]);
  });

  test("with honest servers, reserved and spent stay within the limit at any moment, in any order of events", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("reserve" as const), amount: fc.integer({ min: 1, max: 400 }) }),
      fc.record({
        kind: fc.constant("settle" as const),
        which: fc.nat(20),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ kind: fc.constant("sweep" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 8 }), async (waves) => {
        await env.DB.batch(["reservations", "spending"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
        const made: Reservation[] = [];
        for (const wave of waves) {
          // Everything in a wave happens at once.
          await Promise.all(
            wave.map(async (one) => {
              if (one.kind === "sweep") return sweepReservations(env.DB, NOON + 2 * RESERVATION_MS);
              if (one.kind === "reserve") {
                const { amount: tokens } = one;
                const got = await reserve(env.DB, { tokens, micros: Math.ceil(tokens / 2) }, LIMITS, NOON);
                return got && made.push(got);
              }
              const held = made[one.which % Math.max(1, made.length)];
              if (!held) return;
              const used = (amount: number) => Math.floor(amount * one.share);
              return settle(env.DB, held, { tokens: used(held.tokens), micros: used(held.micros) });
            }),
          );
          const [day] = await days();
          const open = await rows<{ tokens: number | null }>("SELECT sum(tokens) AS tokens FROM reservations");
          expect((day?.reserved ?? 0) + (day?.spent ?? 0)).toBeLessThanOrEqual(LIMITS.tokensPerDay);
          expect((day?.microsReserved ?? 0) + (day?.microsSpent ?? 0)).toBeLessThanOrEqual(LIMITS.microsPerDay);
          expect(day?.reserved ?? 0).toBe(open[0]?.tokens ?? 0);
        }
      }),
      { numRuns: 15 },
    );
  });
});

describe("the funds of a plan", () => {
  const priced = { ...DEFAULT_POLICY.spending, ...LIMITS, outputMicrosPerMillion: 1 };

  test("are what is left of the day; money counts with prices, and nothing does without a model", async () => {
    expect(await fundsOf(env.DB, { spending: priced }, NOON, true)).toEqual({ tokens: 1_000, micros: 500 });
    await reserved({ tokens: 300, micros: 100 });
    await settle(env.DB, await reserved({ tokens: 200, micros: 100 }), { tokens: 50, micros: 20 });
    expect(await fundsOf(env.DB, { spending: priced }, NOON, true)).toEqual({ tokens: 650, micros: 380 });
    const free = { ...priced, outputMicrosPerMillion: 0 };
    expect(await fundsOf(env.DB, { spending: free }, NOON, true)).toEqual({ tokens: 650, micros: null });
    expect(await fundsOf(env.DB, { spending: priced }, NOON, false)).toEqual({ tokens: null, micros: null });
  });
});

/** A model that says the same to everything, whatever it was asked. */
function model(complete: ChatModel["complete"]): ChatModel {
  return { name: "m", complete };
}
const said = (usage: Partial<Completion>): Completion => {
  return { text: "yes", finishReason: "stop", tokensIn: 0, tokensOut: 0, untold: 0, ...usage };
};
const REQUEST = { messages: [{ role: "user" as const, content: "How many?" }] };

describe("a purse", () => {
  const policy = (change: Partial<SpendingPolicy>) => spendingPolicy.parse(change);
  /** The worst case of one completion: two calls. */
  const worst = 2 * (promptTokensAtMost(REQUEST) + DEFAULT_POLICY.spending.outputTokensPerCall);

  test("pays what was used, and asks for the limit of tokens that it reserved", async () => {
    const purse = new Purse(env.DB, policy({ inputMicrosPerMillion: 100_000, outputMicrosPerMillion: 400_000 }));
    const complete = vi.fn(async () => said({ tokensIn: 90, tokensOut: 10 }));
    const chat = paid(model(complete), purse);
    expect(await chat.complete(REQUEST, 1_000)).toMatchObject({ text: "yes", tokensIn: 90, tokensOut: 10 });
    await chat.complete(REQUEST, 1_000);
    expect(complete).toHaveBeenCalledWith({ ...REQUEST, maxTokens: 512 }, 1_000);
    expect((await days())[0]?.reserved).toBeGreaterThanOrEqual(worst);
    await purse.close();
    expect(await days()).toEqual([{ reserved: 0, spent: 200, microsReserved: 0, microsSpent: 26 }]);
    expect(await rows("SELECT id FROM reservations")).toEqual([]);
  });

  test("a call that told nothing counts as its worst case, in the answer and in the day's account", async () => {
    const purse = new Purse(env.DB, policy({}));
    const told = await paid(
      model(async () => said({ tokensIn: 5, tokensOut: 5, untold: 1 })),
      purse,
    ).complete(REQUEST, 1);
    expect(told.tokensIn + told.tokensOut).toBe(10 + worst / 2);
    const failed = paid(
      model(async () => Promise.reject(new ModelFailure("timeout", { tokensIn: 0, tokensOut: 0, untold: 2 }))),
      purse,
    );
    const failure = await failed.complete(REQUEST, 1).catch((error) => error);
    expect(failure.usage).toMatchObject({ tokensOut: 2 * 512 });
    await purse.close();
    expect((await days())[0]?.spent).toBe(10 + worst / 2 + worst);
  });

  test("many calls at once share few reservations, and honest ones never pass the limit", async () => {
    const tokensPerDay = 3 * worst + 100;
    const purses = Array.from({ length: 4 }, () => new Purse(env.DB, policy({ tokensPerDay })));
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, i) => {
        const chat = model(async () => said({ tokensIn: 20, tokensOut: 10 + (i % 3) }));
        return paid(chat, purses[i % 4] ?? fail()).complete(REQUEST, 1);
      }),
    );
    const refused = outcomes.filter((one) => one.status === "rejected");
    expect(refused.every(({ reason }) => reason instanceof OutOfFunds)).toBe(true);
    expect(outcomes.length - refused.length).toBeGreaterThanOrEqual(3);
    const [before] = await days();
    expect((before?.reserved ?? 0) + (before?.spent ?? 0)).toBeLessThanOrEqual(tokensPerDay);
    for (const purse of purses) await purse.close();
    const [after] = await days();
    expect(after?.reserved).toBe(0);
    expect(after?.spent).toBeLessThanOrEqual(32 * (outcomes.length - refused.length));
  });

  test("where money is left for one call only, one is made and all others refused without asking again", async () => {
    const purse = new Purse(env.DB, policy({ tokensPerDay: worst }));
    const chat = paid(
      model(async () => said({ tokensIn: worst / 2, tokensOut: worst / 2 })),
      purse,
    );
    await chat.complete(REQUEST, 1);
    await expect(chat.complete(REQUEST, 1)).rejects.toThrow(OutOfFunds);
    await expect(chat.complete(REQUEST, 1)).rejects.toThrow(OutOfFunds);
    await purse.close();
    expect(await days()).toMatchObject([{ reserved: 0, spent: worst }]);
  });

  test("what a server uses above its worst case is covered before the next call, and spent at the end", async () => {
    const purse = new Purse(env.DB, policy({ tokensPerDay: 4 * worst }));
    const greedy = paid(
      model(async () => said({ tokensIn: 2 * worst, tokensOut: 0 })),
      purse,
    );
    await greedy.complete(REQUEST, 1);
    await greedy.complete(REQUEST, 1);
    await expect(greedy.complete(REQUEST, 1)).rejects.toThrow(OutOfFunds);
    await purse.close();
    expect(await days()).toMatchObject([{ reserved: 0, spent: 4 * worst }]);
  });

  test("never closed, as after a crash, is spent in full", async () => {
    const purse = new Purse(env.DB, policy({ tokensPerDay: worst }));
    await paid(
      model(async () => said({ tokensIn: 1, tokensOut: 1 })),
      purse,
    ).complete(REQUEST, 1);
    await sweepReservations(env.DB, Date.now() + RESERVATION_MS + 1);
    expect(await days()).toMatchObject([{ reserved: 0, spent: worst }]);
    await purse.close();
    expect(await days()).toMatchObject([{ reserved: 0, spent: worst }]);
  });
});

function fail(): never {
  throw new Error("there is no such purse");
}

describe("the tokens of a prompt", () => {
  const asking = (content: Parameters<typeof promptTokensAtMost>[0]["messages"]) =>
    promptTokensAtMost({ messages: content });

  test("are at most its bytes in UTF-8, a fixed number for each picture, and what templates add", () => {
    const plain = asking([{ role: "user", content: "x".repeat(1_000) }]);
    expect(plain).toBeGreaterThanOrEqual(1_000);
    expect(asking([{ role: "user", content: "é".repeat(1_000) }])).toBe(plain + 1_000);
    const picture = (bytes: number) => ({ type: "image_url" as const, image_url: { url: "A".repeat(bytes) } });
    const one = asking([{ role: "user", content: [picture(10)] }]);
    expect(asking([{ role: "user", content: [picture(4_000_000)] }])).toBe(one);
    expect(one).toBeGreaterThan(16_384);
    expect(asking([{ role: "user", content: [picture(1), picture(1)] }])).toBeGreaterThan(2 * 16_384);
  });
});
