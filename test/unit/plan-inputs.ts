import fc from "fast-check";
import { DEFAULT_POLICY, type SchedulerPolicy } from "../../shared/contracts/policy.ts";
import { levelsOf } from "../../shared/edits/levels.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { ALARMS, type Funds, type Plan, type PlanInputs, type RegionState } from "../../shared/hardness/state.ts";
import { type ErrorType, LEVELS, regionKey, TASK_ERROR_TYPES, type Task } from "../../shared/taxonomy/taxonomy.ts";

export const POLICY = DEFAULT_POLICY.scheduler;
export const UNLIMITED: Funds = { tokens: null, micros: null };
export const UNTRIED = { attempted: 0, refused: 0 };

/** A region that nothing is known of, with sources enough. */
export function region(task: Task, errorType: ErrorType, more: Partial<RegionState> = {}): RegionState {
  const cell = { task, errorType, language: more.language ?? "en", modality: "image" } as const;
  return {
    ...cell,
    key: regionKey(cell),
    failures: 0,
    exposures: 0,
    failureMass: 1,
    newFailures: 0,
    newExposures: 0,
    abilityMean: 0,
    abilityVar: 1,
    level: 2,
    stairLevel: 2,
    costTokens: 0,
    costMicros: 0,
    chosenLogRatio: 0,
    backlog: 0,
    scored: 0,
    plannedAt: null,
    editable: 10_000,
    ownAnswers: 0,
    offered: levelsOf(errorType),
    alarms: [],
    levels: [UNTRIED, UNTRIED, UNTRIED, UNTRIED],
    ...more,
  };
}

export function inputsOf(
  regions: readonly RegionState[],
  policy: Partial<SchedulerPolicy> = {},
  rest: Partial<PlanInputs> = {},
): PlanInputs {
  return { at: 0, seed: 1, policy: { ...POLICY, ...policy }, funds: UNLIMITED, regions, difficulties: {}, ...rest };
}

export function plan(...inputs: Parameters<typeof inputsOf>): Plan {
  return makePlan(inputsOf(...inputs));
}

export const pairsOf = (made: Plan, key: string) =>
  made.lines.reduce((sum, line) => sum + (line.region === key ? line.pairs : 0), 0);
export const poolOf = ({ task, language, modality }: RegionState) => `${task}/${language}/${modality}`;

export const CELLS = (Object.keys(TASK_ERROR_TYPES) as Task[]).flatMap((task) =>
  TASK_ERROR_TYPES[task].flatMap((errorType) => ["en", "de"].map((language) => ({ task, errorType, language }))),
);
export const real = (min: number, max: number) => fc.double({ min, max, noNaN: true }).map((x) => x + 0);
export const level = fc
  .record({ attempted: real(0, 50), refused: real(0, 1) })
  .map((l) => ({ ...l, refused: l.refused * l.attempted }));
const numbers = fc.record({
  failures: real(0, 100),
  exposures: real(100, 500),
  failureMass: real(0, 40),
  newFailures: fc.nat(50),
  newExposures: fc.nat(200),
  abilityMean: real(-3, 3),
  abilityVar: real(0.05, 2),
  level: fc.constantFrom(...LEVELS),
  stairLevel: fc.constantFrom(...LEVELS),
  costTokens: fc.oneof(fc.constant(0), real(200, 4_000)),
  costMicros: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: real(50, 900) }),
  chosenLogRatio: real(-2, 1),
  backlog: fc.nat(300),
  scored: fc.nat(200),
  plannedAt: fc.option(fc.nat(1_000)),
  ownAnswers: fc.nat(12),
  alarms: fc.oneof(fc.constant([]), fc.subarray([...ALARMS])),
  levels: fc.tuple(level, level, level, level),
});

/** Regions with shared pools: all of one task and language have the same sources. */
export const regionSet: fc.Arbitrary<RegionState[]> = fc
  .tuple(
    fc.uniqueArray(fc.nat(CELLS.length - 1), { minLength: 1, maxLength: 12 }),
    fc.array(numbers, { minLength: 12, maxLength: 12 }),
    fc.array(fc.oneof(fc.constant(0), fc.nat(20), fc.nat(2_000)), { minLength: 40, maxLength: 40 }),
  )
  .map(([cells, all, supplies]) =>
    cells.flatMap((index, i) => {
      const cell = CELLS[index];
      const own = all[i];
      if (!cell || !own) return [];
      const made = region(cell.task, cell.errorType, { ...own, language: cell.language });
      const pool = Object.keys(TASK_ERROR_TYPES).indexOf(cell.task) * 2 + (cell.language === "en" ? 0 : 1);
      const editable = supplies[pool % supplies.length] ?? 0;
      return [{ ...made, editable, ownAnswers: Math.min(editable, own.ownAnswers) }];
    }),
  );

/** Both strategies, the yardstick, and mixtures. */
export const policies: fc.Arbitrary<SchedulerPolicy> = fc
  .record({
    budgetPairs: fc.integer({ min: 1, max: 3_000 }),
    allocation: fc.constantFrom<SchedulerPolicy["allocation"]>("value", "value", "uniform"),
    staircase: fc.constantFrom<string[]>([], [], ["*/*/*/*"], ["*/negation/*/*", "object/*/*/*"], ["*/*/de/*"]),
    floorShare: fc.constantFrom(0, 0.05, 0.3),
    capShare: fc.constantFrom(0.05, 0.25, 1),
    chunkPairs: fc.constantFrom(1, 5, 40),
    backlogScalePairs: fc.constantFrom(25, 250),
  })
  .map((some): SchedulerPolicy => ({ ...POLICY, ...some }));

export const funds: fc.Arbitrary<Funds> = fc.record({
  tokens: fc.option(fc.oneof(fc.nat(5_000), fc.nat(2_000_000))),
  micros: fc.option(fc.oneof(fc.nat(2_000), fc.nat(500_000))),
});
