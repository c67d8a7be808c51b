import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SchedulerPolicy } from "../../shared/contracts/policy.ts";
import { explainPlan } from "../../shared/hardness/explain.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import type { Plan, PlanInputs, RegionState } from "../../shared/hardness/state.ts";
import { START_DIFFICULTY } from "../../shared/hardness/state.ts";
import { funds, inputsOf, pairsOf, policies, region, regionSet, UNTRIED } from "./plan-inputs.ts";

const explain = (inputs: PlanInputs, key?: string) => explainPlan(inputs, makePlan(inputs), key);
/** What the region's explanation says would have to change. */
function otherwise(inputs: PlanInputs, key: string): string {
  return explain(inputs, key).regions[0]?.otherwise.join("\n") ?? "";
}
/** The number that a pattern finds; fails the test where it finds none. */
function told(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`${pattern} is not in: ${text}`);
  return Number(found);
}
function withRegion(
  inputs: PlanInputs,
  key: string,
  change: (region: RegionState) => Partial<RegionState>,
): PlanInputs {
  return { ...inputs, regions: inputs.regions.map((r) => (r.key === key ? { ...r, ...change(r) } : r)) };
}
const withPolicy = (inputs: PlanInputs, change: Partial<SchedulerPolicy>): PlanInputs => ({
  ...inputs,
  policy: { ...inputs.policy, ...change },
});
const mainPairs = (made: Plan, key: string) =>
  made.lines.reduce((sum, line) => sum + (line.region === key && line.kind !== "floor" ? line.pairs : 0), 0);

/** A region to explain, and others that want the budget too. */
const KEY = "counting/count-near/en/image";
function among(own: Partial<RegionState>, policy: Partial<SchedulerPolicy> = {}): PlanInputs {
  const rivals = [
    region("object", "identity", { failureMass: 6, abilityMean: 0.4, scored: 40 }),
    region("colour", "attribute", { failureMass: 3, abilityMean: -0.2, scored: 40 }),
    region("ocr", "text-misread", { failureMass: 4, abilityMean: 0.1, scored: 40 }),
  ];
  return inputsOf([region("counting", "count-near", own), ...rivals], {
    floorShare: 0,
    capShare: 1,
    chunkPairs: 1,
    ...policy,
  });
}

describe("an explanation", () => {
  test("tells of every region that got pairs, the most first, in sentences without holes", () => {
    fc.assert(
      fc.property(regionSet, policies, funds, (regions, policy, left) => {
        const inputs = inputsOf(regions, policy, { funds: left });
        const made = makePlan(inputs);
        const all = explainPlan(inputs, made);
        expect(new Set(all.regions.map((one) => one.region))).toEqual(new Set(made.lines.map((line) => line.region)));
        const pairs = all.regions.map((one) => one.pairs);
        expect(pairs).toEqual([...pairs].sort((a, b) => b - a));
        expect(pairs.reduce((sum, one) => sum + one, 0)).toBe(made.planned);
        const single = regions.flatMap(({ key }) => explainPlan(inputs, made, key).regions);
        expect(single).toHaveLength(regions.length);
        for (const { why } of [...all.regions, ...single]) expect(why.length).toBeGreaterThan(0);
        const sentences = [
          ...all.summary,
          ...[...all.regions, ...single].flatMap((one) => [...one.why, ...one.otherwise]),
        ];
        for (const sentence of sentences) {
          expect(sentence).toMatch(/^\S.*\.$/);
          expect(sentence).not.toMatch(/NaN|Infinity|undefined|null|-0(?![.\d])/);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of a region that is not in the plan's inputs is empty", () => {
    expect(explain(among({}), "size/attribute/en/image").regions).toEqual([]);
  });

  test("says how many more failures would give a region more pairs, and they do", () => {
    fc.assert(
      fc.property(regionSet, policies, (regions, policy) => {
        const inputs = inputsOf(regions, policy);
        const made = makePlan(inputs);
        for (const { key } of regions) {
          const more = /which (\d+) more failures? in a tick/.exec(otherwise(inputs, key))?.[1];
          if (more === undefined) continue;
          const worse = withRegion(inputs, key, (r) => ({ newFailures: r.newFailures + Number(more) }));
          expect(pairsOf(makePlan(worse), key)).toBeGreaterThan(pairsOf(made, key));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of a region without pairs names the least number of failures that brings it in", () => {
    const inputs = among({ failureMass: 0.1 }, { budgetPairs: 300 });
    expect(pairsOf(makePlan(inputs), KEY)).toBe(0);
    const more = told(otherwise(inputs, KEY), /which (\d+) more failures/);
    const after = (failures: number) =>
      pairsOf(makePlan(withRegion(inputs, KEY, () => ({ newFailures: failures }))), KEY);
    expect(more).toBeGreaterThan(1);
    expect(after(more)).toBeGreaterThan(0);
    expect(after(more - 1)).toBe(0);
  });

  test("names the predicted accuracies beyond which the region would get no pairs, and it gets none there", () => {
    const inputs = among({ failureMass: 5, level: 3, offered: [3] }, { budgetPairs: 400 });
    const [line] = makePlan(inputs).lines.filter(({ region: key }) => key === KEY);
    const text = otherwise(inputs, KEY);
    const limits = [told(text, /accuracy below ([\d.]+)/), told(text, /or above ([\d.]+) it would get no/)];
    const [low, high] = limits as [number, number];
    expect(line?.predicted).toBeGreaterThan(low);
    expect(line?.predicted).toBeLessThan(high);
    const logit = (p: number) => Math.log(p / (1 - p));
    const mean = logit(line?.predicted ?? 0) + START_DIFFICULTY[2];
    const at = (predicted: number) => {
      const difficulty = mean - logit(predicted);
      return mainPairs(makePlan({ ...inputs, difficulties: { "count-near": [-1.5, -0.5, difficulty, 1.5] } }), KEY);
    };
    expect(at(low * 1.01)).toBeGreaterThan(0);
    expect(at(low * 0.99)).toBe(0);
    expect(at(high - 0.01)).toBeGreaterThan(0);
    expect(at(high + 0.01)).toBe(0);
  });

  test("names the predicted accuracy from which the region would get another level, and it gets it there", () => {
    const own = { abilityMean: 0.3, abilityVar: 0.05, scored: 300, level: 3, ownAnswers: 5_000 } as const;
    const inputs = inputsOf([region("object", "identity", own)], { floorShare: 0 });
    const [line] = makePlan(inputs).lines;
    if (!line) throw new Error("no line");
    const text = otherwise(inputs, line.region);
    const shift = (predicted: number) =>
      Math.log(predicted / (1 - predicted)) - Math.log(line.predicted / (1 - line.predicted));
    const levelAt = (predicted: number) => {
      const moved = START_DIFFICULTY.map((d) => d - shift(predicted)) as unknown as PlanInputs["difficulties"][string];
      return makePlan({ ...inputs, difficulties: { identity: moved as readonly [number, number, number, number] } })
        .lines[0]?.level;
    };
    for (const direction of ["up", "down"] as const) {
      const pattern = new RegExp(`accuracy of ([\\d.]+) ${direction} it would get level (\\d)`);
      const from = told(text, pattern);
      const level = Number(pattern.exec(text)?.[2]);
      const beyond = direction === "up" ? 0.01 : -0.01;
      expect(level).not.toBe(line.level);
      expect(levelAt(from + beyond)).toBe(level);
      expect(levelAt(from - 3 * beyond)).toBe(line.level);
    }
  });

  test("says which alarm holds a level, and which level the region would get without it, with as many pairs", () => {
    const inputs = among({
      failureMass: 9,
      abilityMean: 4,
      abilityVar: 0.05,
      scored: 90,
      level: 3,
      ownAnswers: 2_000,
      alarms: ["style"],
    });
    const text = otherwise(inputs, KEY);
    expect(text).toContain("An alarm holds its level (style)");
    const level = told(text, /without it would get level (\d)/);
    const free = makePlan(withRegion(inputs, KEY, () => ({ alarms: [] })));
    expect(free.lines.find((line) => line.region === KEY)?.level).toBe(level);
    expect(pairsOf(free, KEY)).toBe(pairsOf(makePlan(inputs), KEY));
  });

  test("says what holds a level that could rise: one step at a time, or answers of the model itself", () => {
    const able = { abilityMean: 6, abilityVar: 0.01, scored: 900, level: 1 } as const;
    const inputs = inputsOf([region("object", "identity", able)], { floorShare: 0 });
    const key = "object/identity/en/image";
    expect(makePlan(inputs).lines[0]?.level).toBe(2);
    expect(otherwise(inputs, key)).toMatch(/Level 3 would be worth more .*one step at a time/);
    expect(otherwise(inputs, key)).toContain(
      "Level 4 would be worth more, but needs wrong answers of the model itself",
    );
    expect(makePlan(withRegion(inputs, key, () => ({ level: 2 }))).lines[0]?.level).toBe(3);
  });

  test("names the limit that binds, and loosening it gives more", () => {
    const binding: [PlanInputs, RegExp, (inputs: PlanInputs) => PlanInputs][] = [
      [among({ failureMass: 90 }, { capShare: 0.1 }), /capShare above 0.1/, (i) => withPolicy(i, { capShare: 0.2 })],
      [
        among({ failureMass: 90, editable: 30 }),
        /30 pairs are all that these give/,
        (i) => withRegion(i, KEY, () => ({ editable: 60 })),
      ],
      [
        { ...among({ failureMass: 90, costTokens: 900 }), funds: { tokens: 9_000, micros: null } },
        /more than the 9000 tokens that are left: a pair takes 900/,
        (i) => ({ ...i, funds: { tokens: 18_000, micros: null } }),
      ],
      [
        { ...among({ failureMass: 90, costMicros: 50 }), funds: { tokens: null, micros: 500 } },
        /more than the 500 micro-units/,
        (i) => ({ ...i, funds: { tokens: null, micros: 1_000 } }),
      ],
    ];
    for (const [inputs, pattern, loosened] of binding) {
      expect(otherwise(inputs, KEY)).toMatch(pattern);
      expect(pairsOf(makePlan(loosened(inputs)), KEY)).toBeGreaterThan(pairsOf(makePlan(inputs), KEY));
    }
  });

  test("of a region whose edits are refused too often names the rate below which it gets pairs", () => {
    const refusing = (refused: number) =>
      Array(4).fill({ attempted: 1e9, refused: refused * 1e9 }) as unknown as RegionState["levels"];
    const inputs = inputsOf([region("object", "identity", { levels: refusing(0.8) })], { floorShare: 0 });
    const key = "object/identity/en/image";
    expect(makePlan(inputs).planned).toBe(0);
    const limit = told(otherwise(inputs, key), /less than (\d+) % of edits/) / 100;
    const pairsAt = (refused: number) =>
      makePlan(withRegion(inputs, key, () => ({ levels: refusing(refused) }))).planned;
    expect(pairsAt(limit - 0.01)).toBeGreaterThan(0);
    expect(pairsAt(limit + 0.01)).toBe(0);
  });

  test("of a region without sources says so", () => {
    const inputs = among({ editable: 0, failureMass: 50 });
    const [one] = explain(inputs, KEY).regions;
    expect(one).toMatchObject({ pairs: 0, lines: [] });
    expect(one?.why).toEqual(["counting / off by one / en gets no pairs: it has nothing to edit."]);
    expect(one?.otherwise[0]).toContain("sources of counting / en / image");
    expect(pairsOf(makePlan(withRegion(inputs, KEY, () => ({ editable: 9 }))), KEY)).toBe(9);
  });

  test("of a region that waits for the floor says within how many ticks it is reached, and it is", () => {
    const regions = Array.from({ length: 30 }, (_, i) =>
      region("object", "identity", {
        language: `l${String(i).padStart(2, "0")}`,
        failureMass: i === 0 ? 1e6 : 0,
        plannedAt: i,
      }),
    );
    let inputs = inputsOf(regions, { budgetPairs: 200, floorShare: 0.06, capShare: 1 }, { at: 1_000 });
    const key = "object/identity/l29/image";
    const ticks = told(otherwise(inputs, key), /within (\d+) ticks/);
    let waited = 0;
    for (; pairsOf(makePlan(inputs), key) === 0; waited++) {
      const served = new Set(makePlan(inputs).lines.map((line) => line.region));
      const at = inputs.at + 1;
      inputs = { ...inputs, at, regions: inputs.regions.map((r) => (served.has(r.key) ? { ...r, plannedAt: at } : r)) };
    }
    expect(waited).toBeLessThanOrEqual(ticks);
    expect(waited).toBeGreaterThan(1);
  });

  test("of a region on the staircase says what it would get by value", () => {
    const inputs = among(
      { failureMass: 4, levels: [UNTRIED, UNTRIED, UNTRIED, UNTRIED] },
      { staircase: ["counting/*/*/*"] },
    );
    const pairs = told(otherwise(inputs, KEY), /planned by value, it would get (\d+) pairs/);
    expect(pairsOf(makePlan(withPolicy(inputs, { staircase: [] })), KEY)).toBe(pairs);
  });
});
