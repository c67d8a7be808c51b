import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY, type SchedulerPolicy } from "../../shared/contracts/policy.ts";
import { levelsOf } from "../../shared/edits/index.ts";
import { sigmoid } from "../../shared/hardness/ability.ts";
import { canonicalJson } from "../../shared/hardness/canonical.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import type { Plan, PlanInputs, RegionState } from "../../shared/hardness/state.ts";
import { firstPairValue, gainOf, nextPairValue, refusalRate, survivingNoise } from "../../shared/hardness/value.ts";
import { type ErrorType, LEVELS, regionKey, TASK_ERROR_TYPES, type Task } from "../../shared/taxonomy/taxonomy.ts";

const POLICY = DEFAULT_POLICY.scheduler;
const UNTRIED = { attempted: 0, refused: 0 };

function region(task: Task, errorType: ErrorType, more: Partial<RegionState> = {}): RegionState {
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
    costTokens: 0,
    chosenLogRatio: 0,
    backlog: 0,
    scored: 0,
    plannedAt: null,
    editable: 10_000,
    ownAnswers: 0,
    levels: [UNTRIED, UNTRIED, UNTRIED, UNTRIED],
    ...more,
  };
}

function plan(
  regions: readonly RegionState[],
  policy: Partial<SchedulerPolicy> = {},
  rest: Partial<PlanInputs> = {},
): Plan {
  return makePlan({ at: 0, seed: 1, policy: { ...POLICY, ...policy }, regions, difficulties: {}, ...rest });
}

const pairsOf = (made: Plan, key: string) =>
  made.lines.reduce((sum, line) => sum + (line.region === key ? line.pairs : 0), 0);
const poolOf = ({ task, language, modality }: RegionState) => `${task}/${language}/${modality}`;

const CELLS = (Object.keys(TASK_ERROR_TYPES) as Task[]).flatMap((task) =>
  TASK_ERROR_TYPES[task].flatMap((errorType) => ["en", "de"].map((language) => ({ task, errorType, language }))),
);
const real = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const level = fc
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
  costTokens: fc.oneof(fc.constant(0), real(200, 4_000)),
  chosenLogRatio: real(-2, 1),
  backlog: fc.nat(300),
  scored: fc.nat(200),
  plannedAt: fc.option(fc.nat(1_000)),
  ownAnswers: fc.nat(12),
  levels: fc.tuple(level, level, level, level),
});
/** Regions with shared pools: all of one task and language have the same sources. */
const regionSet: fc.Arbitrary<RegionState[]> = fc
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
const policies: fc.Arbitrary<SchedulerPolicy> = fc
  .record({
    budgetPairs: fc.integer({ min: 1, max: 3_000 }),
    allocation: fc.constantFrom("value", "uniform"),
    floorShare: fc.constantFrom(0, 0.05, 0.3),
    capShare: fc.constantFrom(0.05, 0.25, 1),
    chunkPairs: fc.constantFrom(1, 5, 40),
    backlogScalePairs: fc.constantFrom(25, 250),
  })
  .map((some) => ({ ...POLICY, ...some }) as SchedulerPolicy);

describe("a plan", () => {
  test("is the same bytes for the same inputs, in whatever order the regions come", () => {
    fc.assert(
      fc.property(regionSet, policies, fc.infiniteStream(fc.double({ noNaN: true })), (regions, policy, noise) => {
        const shuffled = regions
          .map((r) => ({ r, at: noise.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ r }) => r);
        expect(canonicalJson(plan(shuffled, policy))).toBe(canonicalJson(plan(regions, policy)));
      }),
    );
  });

  test("is made again, byte for byte, from its stored inputs", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const inputs: PlanInputs = {
          at: 5,
          seed: 7,
          policy,
          regions,
          difficulties: { attribute: [-1, -0.5, 0.4, 1.1] },
        };
        const replayed = makePlan(JSON.parse(canonicalJson(inputs)) as PlanInputs);
        expect(canonicalJson(replayed)).toBe(canonicalJson(makePlan(inputs)));
      }),
    );
  });

  test("honours the budget, the cap and every supply", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const made = plan(regions, policy);
        const planned = made.lines.reduce((sum, line) => sum + line.pairs, 0);
        expect(planned).toBe(made.planned);
        expect(planned).toBeLessThanOrEqual(policy.budgetPairs);
        for (const r of regions) {
          expect(pairsOf(made, r.key)).toBeLessThanOrEqual(
            Math.min(r.editable, Math.ceil(policy.budgetPairs * policy.capShare)),
          );
          const own = made.lines.filter((line) => line.region === r.key && line.level === 4);
          expect(own.reduce((sum, line) => sum + line.pairs, 0)).toBeLessThanOrEqual(r.ownAnswers);
        }
        for (const pool of Map.groupBy(regions, poolOf).values()) {
          const drawn = pool.reduce((sum, r) => sum + pairsOf(made, r.key), 0);
          expect(drawn).toBeLessThanOrEqual(pool[0]?.editable ?? 0);
        }
      }),
    );
  });

  test("has one line at most for a region and level, each with a pair at least and none without a source", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const { lines } = plan(regions, policy);
        expect(new Set(lines.map((line) => `${line.region} ${line.level}`)).size).toBe(lines.length);
        const editable = new Map(regions.map((r) => [r.key, r.editable]));
        for (const line of lines) {
          expect(line.pairs).toBeGreaterThan(0);
          expect(editable.get(line.region)).toBeGreaterThan(0);
        }
      }),
    );
  });

  test("raises a level by one step at most, and by none while the chosen answers lose probability", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const byKey = new Map(regions.map((r) => [r.key, r]));
        for (const line of plan(regions, policy).lines) {
          const r = byKey.get(line.region);
          if (!r) throw new Error(`no region ${line.region}`);
          const levels = levelsOf(r.errorType);
          expect(levels).toContain(line.level);
          const above = levels.filter((l) => l > r.level && l <= line.level);
          const alarmed = r.chosenLogRatio < policy.chosenLogRatioAlarm && r.level >= levels[0];
          expect(above.length).toBeLessThanOrEqual(alarmed ? 0 : 1);
        }
      }),
    );
  });

  test("spends the budget as long as a region has sources and is worth a pair", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const clean = { levels: [UNTRIED, UNTRIED, UNTRIED, UNTRIED] } as const;
        const made = plan(
          regions.map((r) => ({ ...r, ...clean })),
          policy,
        );
        if (made.planned === policy.budgetPairs) return;
        const cap = Math.ceil(policy.budgetPairs * policy.capShare);
        for (const pool of Map.groupBy(regions, poolOf).values()) {
          const drawn = pool.reduce((sum, r) => sum + pairsOf(made, r.key), 0);
          const full = pool.every((r) => pairsOf(made, r.key) === Math.min(cap, r.editable));
          expect(full || drawn === pool[0]?.editable).toBe(true);
        }
      }),
    );
  });

  test("never gives a region less because it failed more", () => {
    const policy = policies.map((p) => ({ ...p, allocation: "value" as const }));
    fc.assert(
      fc.property(regionSet, policy, fc.nat(), fc.integer({ min: 1, max: 60 }), (regions, p, pick, more) => {
        const chosen = regions[pick % regions.length];
        if (!chosen) return;
        const worse = regions.map((r) => (r === chosen ? { ...r, newFailures: r.newFailures + more } : r));
        expect(pairsOf(plan(worse, p), chosen.key)).toBeGreaterThanOrEqual(pairsOf(plan(regions, p), chosen.key));
      }),
      { numRuns: 150 },
    );
  });

  test("gives every region its probes, the ones that waited longest first", () => {
    const tasks = ["counting", "colour", "object", "spatial", "comparison"] as const;
    const regions = tasks.map((task, i) =>
      region(task, TASK_ERROR_TYPES[task][0], { plannedAt: 100 - i, failureMass: task === "colour" ? 1e9 : 0 }),
    );
    const made = plan(regions, { budgetPairs: 120, floorShare: 0.05 });
    const probed = made.lines.filter((line) => line.kind === "floor").map((line) => line.region);
    expect(probed.sort()).toEqual([regions[4]?.key, regions[3]?.key].sort());
    const wide = plan(regions, { budgetPairs: 300, floorShare: 0.05 });
    for (const r of regions) expect(pairsOf(wide, r.key)).toBeGreaterThanOrEqual(POLICY.floorProbes);
  });

  test("prefers a region that fails, is learnable, is cheap, and has little ready", () => {
    const base = region("counting", "count-near", { failureMass: 5, costTokens: 1_000 });
    const better = (task: Task, more: Partial<RegionState>) => {
      const rival = region(task, "count-near", { failureMass: 5, costTokens: 1_000, ...more });
      const made = plan([base, rival], { budgetPairs: 400, capShare: 1 });
      return pairsOf(made, rival.key) - pairsOf(made, base.key);
    };
    expect(better("object", { failureMass: 9 })).toBeGreaterThan(0);
    expect(better("object", { abilityMean: -4, abilityVar: 0.05, scored: 100 })).toBeLessThan(0);
    expect(better("object", { costTokens: 3_000 })).toBeLessThan(0);
    expect(better("object", { backlog: 200 })).toBeLessThan(0);
    expect(
      better("object", {
        levels: LEVELS.map(() => ({ attempted: 90, refused: 60 })) as unknown as RegionState["levels"],
      }),
    ).toBeLessThan(0);
  });

  test("aims at the middle: an able region gets harder pairs than a weak one", () => {
    const aimed = (abilityMean: number) =>
      plan([region("object", "identity", { abilityMean, abilityVar: 0.02, scored: 400, level: 3 })], { floorShare: 0 })
        .lines[0]?.level;
    expect(aimed(-3)).toBe(1);
    expect(aimed(3)).toBe(3);
  });

  test("turns to the next best level when the model's own answers run out", () => {
    const able = region("object", "identity", {
      abilityMean: 3,
      abilityVar: 0.02,
      scored: 400,
      level: 3,
      ownAnswers: 7,
    });
    const { lines } = plan([able], { floorShare: 0, budgetPairs: 100 });
    expect(lines.map(({ level, pairs }) => [level, pairs])).toEqual([
      [3, 18],
      [4, 7],
    ]);
    expect(lines.every((line) => line.capped)).toBe(true);
  });

  test("plans nothing where noise costs more than the gain, but still probes", () => {
    const noisy = { attempted: 1e6, refused: 7e5 };
    const bad = region("object", "identity", { failureMass: 9, levels: [noisy, noisy, noisy, noisy] });
    expect(plan([bad], { floorShare: 0 }).lines).toEqual([]);
    expect(plan([bad])).toMatchObject({ planned: 3, lines: [{ kind: "floor" }] });
  });

  test("breaks ties by key", () => {
    const twins = [
      region("spatial", "role-swap", { editable: 900 }),
      region("object", "existence-omit", { editable: 900 }),
    ];
    const { lines } = plan(twins, { budgetPairs: 5, capShare: 1, floorShare: 0 });
    expect(lines).toMatchObject([{ region: "object/existence-omit/en/image", rank: 1, pairs: 5 }]);
  });

  test("explains each line in one sentence with its numbers", () => {
    const told = region("counting", "count-near", {
      failures: 20,
      newFailures: 11,
      exposures: 150,
      newExposures: 60,
      costTokens: 1_400,
      scored: 80,
      abilityVar: 0.1,
      abilityMean: 0.5,
    });
    const [line] = plan([told], { budgetPairs: 100, floorShare: 0 }).lines;
    expect(line?.sentence).toBe(
      "counting / off by one / en gets 25 pairs at level 3, the most that one region may get: 31 of 210 exposures failed, " +
        "predicted accuracy 0.50 (0.38 to 0.62), 8 % of edits refused, 1.4k tokens per pair.",
    );
    expect(line?.predicted).toBeGreaterThan(line?.interval[0] ?? 1);
    expect(line?.predicted).toBeLessThan(line?.interval[1] ?? 0);
    expect(line?.valueAtEntry).toBeGreaterThan(line?.valueAtStop ?? 0);
  });

  test("of no regions is empty", () => {
    expect(plan([])).toEqual({ lines: [], planned: 0, budget: POLICY.budgetPairs });
  });

  test("of 20,000 regions takes a fraction of a second", () => {
    const many = Array.from({ length: 20_000 }, (_, i) =>
      region("counting", i % 2 ? "count-near" : "count-far", {
        language: `l${i}`,
        newFailures: i % 50,
        scored: i % 5,
        abilityMean: Math.sin(i),
      }),
    );
    const started = performance.now();
    expect(plan(many).planned).toBe(POLICY.budgetPairs);
    expect(performance.now() - started).toBeLessThan(1_500);
  });
});

describe("the uniform yardstick", () => {
  test("gives regions with sources enough the same, to a pair", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.uniqueArray(fc.constantFrom(...CELLS), {
          minLength: 4,
          maxLength: 9,
          selector: (c) => `${c.task}${c.language}`,
        }),
        (budgetPairs, cells) => {
          const regions = cells.map((c, i) => region(c.task, c.errorType, { language: c.language, failureMass: i }));
          const made = plan(regions, { allocation: "uniform", budgetPairs, capShare: 1 });
          const given = regions.map((r) => pairsOf(made, r.key));
          expect(Math.max(...given) - Math.min(...given)).toBeLessThanOrEqual(1);
          expect(made.planned).toBe(budgetPairs);
        },
      ),
    );
  });

  test("asks for the level whose predicted accuracy is nearest the target", () => {
    const { lines } = plan([region("object", "identity")], { allocation: "uniform" });
    expect(lines).toMatchObject([{ level: 2, kind: "uniform" }]);
  });
});

describe("the value of a pair", () => {
  test("predicted accuracy rises with ability and falls with difficulty", () => {
    fc.assert(
      fc.property(real(-6, 6), real(-4, 4), real(0.001, 2), (ability, difficulty, step) => {
        expect(sigmoid(ability + step - difficulty)).toBeGreaterThan(sigmoid(ability - difficulty));
        expect(sigmoid(ability - difficulty - step)).toBeLessThan(sigmoid(ability - difficulty));
      }),
    );
  });

  test("the gain is nothing at both ends and greatest a little below one half", () => {
    expect(gainOf(0)).toBe(0);
    expect(gainOf(1)).toBe(0);
    const grid = Array.from({ length: 1_001 }, (_, i) => i / 1_000);
    expect(grid.reduce((best, p) => (gainOf(p) > gainOf(best) ? p : best))).toBeCloseTo(0.451, 3);
  });

  test("shares stay shares, whatever was refused", () => {
    fc.assert(
      fc.property(
        level,
        fc.constantFrom(...LEVELS),
        real(0, 1),
        real(0, 1),
        (tried, at, judgeSensitivity, judgeFalsePositive) => {
          const policy = { ...POLICY, judgeSensitivity, judgeFalsePositive };
          const refused = refusalRate(tried, at, policy);
          for (const share of [refused, survivingNoise(refused, policy)]) {
            expect(share).toBeGreaterThanOrEqual(0);
            expect(share).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  test("an edit that is refused by a good judge leaves no noise; a worse judge leaves more", () => {
    expect(survivingNoise(0.05, POLICY)).toBe(0);
    expect(survivingNoise(0.3, { ...POLICY, judgeSensitivity: 1 })).toBe(0);
    expect(survivingNoise(0.3, { ...POLICY, judgeSensitivity: 0.5 })).toBeGreaterThan(survivingNoise(0.3, POLICY));
  });

  test("falls with refusals and noise, and with every pair that is planned or ready", () => {
    expect(firstPairValue(2, 0.1, 0.05, 0.9)).toBeGreaterThan(firstPairValue(2, 0.3, 0.05, 0.9));
    expect(firstPairValue(2, 0.1, 0.05, 0.9)).toBeGreaterThan(firstPairValue(2, 0.1, 0.2, 0.9));
    expect(firstPairValue(2, 0.1, 0.9, 0.2)).toBeLessThan(0);
    expect(nextPairValue(1, 250, 1, POLICY)).toBeCloseTo(1 / Math.E, 12);
    expect(nextPairValue(1, 0, 2, POLICY)).toBe(0.5);
  });
});
