import { expect, expectTypeOf, test } from "vitest";
import type { z } from "zod";
import { API_LIMITS, type FailureEvent, type PairEvent } from "../../client/src/events.ts";
import { STATUSES } from "../../client/src/ledger.ts";
import { LIMITS } from "../../shared/contracts/common.ts";
import { EVENT_STATUSES, type failureEvent, type pairEvent } from "../../shared/contracts/ingest.ts";

/** The client is published alone, so it says the contract in its own words: they must be the contract's. */

type Failure = z.input<typeof failureEvent>;
type Pair = z.input<typeof pairEvent>;

test("the client's event types are those of the contract", () => {
  expectTypeOf<FailureEvent>().branded.toEqualTypeOf<Failure>();
  expectTypeOf<FailureEvent>().toExtend<Failure>();
  expectTypeOf<Failure>().toExtend<FailureEvent>();
  expectTypeOf<PairEvent>().branded.toEqualTypeOf<Pair>();
  expectTypeOf<PairEvent>().toExtend<Pair>();
  expectTypeOf<Pair>().toExtend<PairEvent>();
});

test("the client keeps to the contract's limits", () => {
  expect(LIMITS).toMatchObject(API_LIMITS);
});

test("the client knows the contract's statuses", () => {
  expect(STATUSES).toEqual(EVENT_STATUSES);
});
