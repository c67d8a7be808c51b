import { DEFAULT_POLICY } from "../../../contracts/policy.ts";
import { LEVELS, type Level } from "../../../taxonomy/taxonomy.ts";
import { stairLevelAfter } from "../../staircase.ts";
import { armCount, armOf, byWorth, Costs } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";
import { FailureMass } from "./failure-mass.ts";

/** Where the staircase of a new region begins. */
const START: Level = 2;

/**
 * The honest opponent: a level for each region, a step down below an accuracy of 0.4 and up above 0.8, as the product steps, and
 * the budget spread by failure mass and cost.
 */
export const staircase: PolicyKind = {
  name: "staircase",
  create(size) {
    const costs = new Costs(size);
    const mass = new FailureMass(size);
    const levels: Level[] = Array(size.tasks * size.errors).fill(START);
    return {
      plan(reports) {
        mass.count(reports);
        const values = new Float64Array(armCount(size));
        for (const [region, level] of levels.entries()) values[armOf({ region, level: level - 1 })] = mass.of(region);
        return byWorth(values, size.budget, costs);
      },
      learn(outcomes) {
        costs.learn(outcomes);
        for (const { region, attempted, refused, right } of outcomes) {
          const scored = { tried: attempted - refused, right };
          levels[region] = stairLevelAfter(levels[region] as Level, LEVELS, scored, DEFAULT_POLICY.scheduler);
        }
      },
    };
  },
};
