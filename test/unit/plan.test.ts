import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sigmoid } from "../../shared/hardness/ability.ts";
import { makePlan, valuesOf } from "../../shared/hardness/plan.ts";
import { decodeInputs, encodeInputs, encodePlan } from "../../shared/hardness/record.ts";
import { isOnStaircase, stairLevelAfter } from "../../shared/hardness/staircase.ts";
import type { RegionState } from "../../shared/hardness/state.ts";
import { editValue, gainOf, nextPairValue, refusalRate, survivingNoise } from "../../shared/hardness/value.ts";
import { LEVELS, type Level, TASK_ERROR_TYPES, type Task } from "../../shared/taxonomy/taxonomy.ts";
import {
  CELLS,
  funds,
  inputsOf,
  level,
  POLICY,
  pairsOf,
  plan,
  policies,
  poolOf,
  real,
  region,
  regionSet,
  UNTRIED,
} from "./plan-inputs.ts";

/** Regions, and the same in another order. */
const shuffled = regionSet.chain((regions) =>
  fc.tuple(
    fc.constant(regions),
    fc.shuffledSubarray(regions, { minLength: regions.length, maxLength: regions.length }),
  ),
);

describe("a plan", () => {
  test("is the same bytes for the same inputs, in whatever order the regions come", () => {
    fc.assert(
      fc.property(shuffled, policies, funds, ([regions, other], policy, left) => {
        expect(encodePlan(plan(other, policy, { funds: left }))).toBe(
          encodePlan(plan(regions, policy, { funds: left })),
        );
      }),
    );
  });

  test("is made again, byte for byte, from its stored inputs", () => {
    fc.assert(
      fc.property(shuffled, policies, funds, ([regions], policy, left) => {
        const inputs = inputsOf(regions, policy, { funds: left, difficulties: { attribute: [-1, -0.5, 0.4, 1.1] } });
        expect(encodePlan(makePlan(decodeInputs(encodeInputs(inputs))))).toBe(encodePlan(makePlan(inputs)));
      }),
    );
  });

  test("honours the budget, the funds, the cap and every supply", () => {
    fc.assert(
      fc.property(regionSet, policies, funds, (regions, policy, left) => {
        const made = plan(regions, policy, { funds: left });
        const planned = made.lines.reduce((sum, line) => sum + line.pairs, 0);
        expect(planned).toBe(made.planned);
        expect(planned).toBeLessThanOrEqual(policy.budgetPairs);
        expect(made.expected.tokens).toBeLessThanOrEqual(left.tokens ?? Number.POSITIVE_INFINITY);
        expect(made.expected.micros).toBeLessThanOrEqual(left.micros ?? Number.POSITIVE_INFINITY);
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

  test("says why it stopped", () => {
    fc.assert(
      fc.property(regionSet, policies, funds, (regions, policy, left) => {
        const { planned, stopped, expected } = plan(regions, policy, { funds: left });
        expect(stopped === "budget").toBe(planned === policy.budgetPairs);
        const dearest = (costs: number[]) => Math.ceil(Math.max(0, ...costs));
        if (stopped === "tokens") {
          const more = dearest(regions.map((r) => r.costTokens));
          expect(expected.tokens + Math.max(1, more)).toBeGreaterThan(left.tokens ?? Number.POSITIVE_INFINITY);
        }
        if (stopped === "money") {
          const more = dearest(regions.map((r) => r.costMicros));
          expect(expected.micros + Math.max(1, more)).toBeGreaterThan(left.micros ?? Number.POSITIVE_INFINITY);
        }
        if (planned < policy.budgetPairs && left.tokens === null && left.micros === null) {
          expect(["cap", "supply", "no value left"]).toContain(stopped);
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

  test("raises a level by one step at most, and by none while an alarm is on or the chosen answers lose probability", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const byKey = new Map(regions.map((r) => [r.key, r]));
        for (const line of plan(regions, policy).lines) {
          const r = byKey.get(line.region);
          if (!r) throw new Error(`no region ${line.region}`);
          expect(r.offered).toContain(line.level);
          const above = r.offered.filter((l) => l > r.level && l <= line.level);
          const alarmed = r.alarms.length > 0 || r.chosenLogRatio < policy.chosenLogRatioAlarm;
          const lowest = r.offered[0] ?? 4;
          expect(above.length).toBeLessThanOrEqual(alarmed && r.level >= lowest ? 0 : 1);
        }
      }),
    );
  });

  test("gives a region as many pairs with its alarms as without them", () => {
    fc.assert(
      fc.property(regionSet, policies, funds, (regions, policy, left) => {
        const calm = regions.map((r) => ({ ...r, alarms: [], chosenLogRatio: 0 }));
        const [alarmed, free] = [plan(regions, policy, { funds: left }), plan(calm, policy, { funds: left })];
        for (const { key } of regions) expect(pairsOf(alarmed, key)).toBe(pairsOf(free, key));
      }),
    );
  });

  test("spends the budget as long as a region has sources and is worth a pair", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, some) => {
        const policy = { ...some, staircase: [] };
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

  test("never gives a region less because it failed more, under any policy and with any funds", () => {
    fc.assert(
      fc.property(
        regionSet,
        policies,
        funds,
        fc.nat(),
        fc.integer({ min: 1, max: 60 }),
        (regions, policy, left, pick, more) => {
          const chosen = regions[pick % regions.length];
          if (!chosen) return;
          const worse = regions.map((r) => (r === chosen ? { ...r, newFailures: r.newFailures + more } : r));
          const [before, after] = [plan(regions, policy, { funds: left }), plan(worse, policy, { funds: left })];
          expect(pairsOf(after, chosen.key)).toBeGreaterThanOrEqual(pairsOf(before, chosen.key));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("gives every region its probes, the ones that waited longest first", () => {
    const tasks = ["counting", "colour", "object", "spatial", "comparison"] as const;
    const regions = tasks.map((task, i) =>
      region(task, TASK_ERROR_TYPES[task][0], { plannedAt: 100 - i, failureMass: task === "colour" ? 1e9 : 0 }),
    );
    // A gain whose best level is not the one that probes take, so that the lines tell them apart.
    const made = plan(regions, { budgetPairs: 120, floorShare: 0.05, gainBase: 0.8, gainTilt: 0.4 });
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
        "predicted accuracy 0.52 (0.43 to 0.61), 8 % of edits refused, 1.4k tokens per pair.",
    );
    expect(line?.predicted).toBeGreaterThan(line?.interval[0] ?? 1);
    expect(line?.predicted).toBeLessThan(line?.interval[1] ?? 0);
    expect(line?.valueAtEntry).toBeGreaterThan(line?.valueAtStop ?? 0);
  });

  test("of no regions is empty", () => {
    expect(plan([])).toEqual({
      lines: [],
      planned: 0,
      budget: POLICY.budgetPairs,
      expected: { tokens: 0, micros: 0 },
      stopped: "no value left",
    });
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

  test("the gain is nothing at both ends and greatest a little above one half", () => {
    expect(gainOf(0, POLICY)).toBe(0);
    expect(gainOf(1, POLICY)).toBe(0);
    const grid = Array.from({ length: 1_001 }, (_, i) => i / 1_000);
    expect(grid.reduce((best, p) => (gainOf(p, POLICY) > gainOf(best, POLICY) ? p : best))).toBeCloseTo(0.525, 3);
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
    expect(editValue(0.1, 0.05, 0.9, POLICY)).toBeGreaterThan(editValue(0.3, 0.05, 0.9, POLICY));
    expect(editValue(0.1, 0.05, 0.9, POLICY)).toBeGreaterThan(editValue(0.1, 0.2, 0.9, POLICY));
    expect(editValue(0.1, 0.9, 0.2, POLICY)).toBeLessThan(0);
    expect(nextPairValue(1, 250, 1, POLICY)).toBeCloseTo(1 / Math.E, 12);
    expect(nextPairValue(1, 0, 2, POLICY)).toBe(0.5);
  });
});

describe("the worth of regions", () => {
  test("is told of all of them, by key, and never negative", () => {
    fc.assert(
      fc.property(shuffled, policies, ([regions, other], policy) => {
        const values = valuesOf(inputsOf(regions, policy));
        expect(values).toEqual(valuesOf(inputsOf(other, policy)));
        expect(values.map(({ key }) => key)).toEqual(regions.map(({ key }) => key).sort());
        for (const { value, predicted } of values) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(predicted.every((p) => p > 0 && p < 1)).toBe(true);
        }
      }),
    );
  });

  test("ranks the regions of a plan by value, where none has pairs ready and all cost the same", () => {
    fc.assert(
      fc.property(regionSet, (regions) => {
        const alike = regions.map((r) => ({ ...r, backlog: 0, costTokens: 0, costMicros: 0, editable: 10_000 }));
        const worth = new Map(valuesOf(inputsOf(alike)).map(({ key, value }) => [key, value]));
        const lines = plan(alike, { floorShare: 0 }).lines;
        for (const [i, line] of lines.entries()) {
          const before = lines[i - 1];
          if (!before) continue;
          expect(worth.get(line.region)).toBeLessThanOrEqual((worth.get(before.region) ?? 0) * (1 + 1e-12));
          expect(line.rank).toBeGreaterThanOrEqual(before.rank);
        }
      }),
    );
  });
});

describe("the staircase", () => {
  const twins = (more: Partial<RegionState> = {}) => [
    region("counting", "count-near", { failureMass: 3, stairLevel: 3, level: 3, ...more }),
    region("object", "identity", { failureMass: 9, level: 3, ...more }),
  ];

  test("gets the part of the budget that its regions have of all failure mass", () => {
    const made = plan(twins(), {
      staircase: ["counting/*/*/*"],
      floorShare: 0,
      capShare: 1,
      budgetPairs: 1_000,
      decay: 1,
    });
    expect(pairsOf(made, "counting/count-near/en/image")).toBe(250);
    expect(made).toMatchObject({ planned: 1_000, stopped: "budget" });
    expect(made.lines.map(({ kind }) => kind).sort()).toEqual(["staircase", "value"]);
  });

  test("spreads it by failure mass, with diminishing returns, at the levels where it stands", () => {
    const regions = [
      region("object", "identity", { failureMass: 8, stairLevel: 1, abilityMean: 3, scored: 50, level: 3 }),
      region("counting", "count-near", { failureMass: 4, stairLevel: 3, backlog: 100, level: 3 }),
      region("background", "scene", { failureMass: 4, stairLevel: 2, level: 3 }),
    ];
    const made = plan(regions, { staircase: ["*/*/*/*"], floorShare: 0, capShare: 1, chunkPairs: 1, decay: 1 });
    const [first, second, third] = regions.map(({ key }) => pairsOf(made, key)) as [number, number, number];
    // Water finds one level: ln(mass) * scale - pairs - backlog is the same everywhere, to a pair.
    expect(Math.abs(first - third - POLICY.backlogScalePairs * Math.log(2))).toBeLessThanOrEqual(1);
    expect(Math.abs(third - second - 100)).toBeLessThanOrEqual(1);
    expect(new Map(made.lines.map(({ region: key, level: at }) => [key, at]))).toEqual(
      new Map(regions.map(({ key, stairLevel }) => [key, stairLevel])),
    );
  });

  test("does not rise either while an alarm is on", () => {
    const [held] = twins({ alarms: ["surprise"], level: 3, stairLevel: 4, ownAnswers: 50 });
    if (!held) throw new Error("no region");
    expect(plan([held], { staircase: ["*/*/*/*"] }).lines.map(({ level: at }) => at)).toEqual([3]);
    expect(plan([{ ...held, alarms: [] }], { staircase: ["*/*/*/*"] }).lines.map(({ level: at }) => at)).toEqual([
      3, 4,
    ]);
  });

  test("leaves what it cannot use to the others", () => {
    const [scarce, rich] = twins();
    if (!scarce || !rich) throw new Error("no regions");
    const made = plan([{ ...scarce, editable: 10 }, rich], {
      staircase: ["counting/*/*/*"],
      capShare: 1,
      budgetPairs: 1_000,
    });
    expect(pairsOf(made, scarce.key)).toBe(10);
    expect(pairsOf(made, rich.key)).toBe(990);
  });
});

describe("funds", () => {
  test("are spent in the order of worth, not on what is cheap", () => {
    const dear = region("counting", "count-near", { failureMass: 90, costTokens: 2_000 });
    const cheap = region("object", "identity", { failureMass: 0.1, costTokens: 500 });
    const made = plan([dear, cheap], { floorShare: 0 }, { funds: { tokens: 9_000, micros: null } });
    expect(made).toMatchObject({ planned: 4, stopped: "tokens", expected: { tokens: 8_000, micros: 0 } });
    expect(pairsOf(made, dear.key)).toBe(4);
  });

  test("count money where prices are known: what is dear in money is worth less, whatever its tokens", () => {
    const wordy = region("counting", "count-near", { failureMass: 5, costTokens: 4_000, costMicros: 100 });
    const dear = region("object", "count-near", { failureMass: 5, costTokens: 100, costMicros: 400 });
    const made = plan([wordy, dear], { budgetPairs: 400, capShare: 1 });
    expect(pairsOf(made, wordy.key)).toBeGreaterThan(pairsOf(made, dear.key));
    expect(made.expected.micros).toBe(100 * pairsOf(made, wordy.key) + 400 * pairsOf(made, dear.key));
  });

  test("of nothing plan nothing, also where no price is known", () => {
    const made = plan([region("object", "identity")], {}, { funds: { tokens: 0, micros: null } });
    expect(made).toMatchObject({ planned: 0, stopped: "tokens" });
  });

  test("where nothing was spent yet a pair is taken to cost the mean of the others", () => {
    const regions = [
      region("counting", "count-near", { costTokens: 1_000 }),
      region("object", "identity", { costTokens: 2_000 }),
      region("colour", "attribute"),
    ];
    const made = plan(regions, { allocation: "uniform", budgetPairs: 30, capShare: 1 });
    expect(made.expected).toEqual({ tokens: 10 * (1_000 + 2_000 + 1_500), micros: 0 });
  });
});

describe("alarms", () => {
  test("hold a level that would rise, and are told on the line", () => {
    const able = region("object", "identity", { abilityMean: 2, abilityVar: 0.01, scored: 500, level: 2 });
    const [free] = plan([able], { floorShare: 0 }).lines;
    const [held] = plan([{ ...able, alarms: ["displacement"] }], { floorShare: 0 }).lines;
    expect(free).toMatchObject({ level: 3, alarms: [] });
    expect(held).toMatchObject({ level: 2, pairs: free?.pairs, alarms: ["displacement"] });
    expect(held?.sentence).toContain("alarm: displacement");
  });
});

describe("a pattern of regions", () => {
  test.each([
    ["counting/count-near/en/image", ["counting/count-near/en/image"], true],
    ["counting/count-near/en/image", ["*/*/*/*"], true],
    ["counting/count-near/en/image", ["ocr/*/*/*", "*/count-near/*/image"], true],
    ["counting/count-near/en/image", ["counting/count-far/*/*", "*/*/de/*"], false],
    ["counting/count-near/en/image", ["count/*/*/*"], false],
    ["counting/count-near/en/image", [], false],
    ["counting/count-near", ["*/*/*/*"], false],
  ])("%s is one of %j: %s", (key, patterns, is) => expect(isOnStaircase(key, patterns)).toBe(is));

  test("is met part by part, whatever else is listed", () => {
    const part = fc.constantFrom("a", "b", "c");
    const key = fc.tuple(part, part, part, part);
    const wanted = fc.constantFrom<string>("a", "b", "*");
    const pattern = fc.tuple(wanted, wanted, wanted, wanted);
    fc.assert(
      fc.property(key, fc.array(pattern, { maxLength: 5 }), (parts, patterns) => {
        const met = patterns.some((one) => one.every((open, i) => open === "*" || open === parts[i]));
        expect(
          isOnStaircase(
            parts.join("/"),
            patterns.map((one) => one.join("/")),
          ),
        ).toBe(met);
      }),
    );
  });
});

describe("a step of the staircase", () => {
  const step = (at: Level, right: number, offered: readonly Level[] = [2, 3, 4]) =>
    stairLevelAfter(at, offered, { tried: 100, right }, POLICY);

  test("goes up above the high accuracy, down below the low one, and stays between", () => {
    expect([step(3, 81), step(3, 80), step(3, 40), step(3, 39)]).toEqual([4, 3, 3, 2]);
  });

  test("ends where no more levels are offered, and skips those that are not", () => {
    expect([step(4, 100), step(2, 0)]).toEqual([4, 2]);
    expect([step(2, 100, [2, 4]), step(4, 0, [2, 4])]).toEqual([4, 2]);
  });

  test("needs a measurement", () => {
    expect(stairLevelAfter(3, [2, 3, 4], { tried: 0, right: 0 }, POLICY)).toBe(3);
  });
});
