import { armCount, byWorth, Costs } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";
import { Accuracies } from "../posterior.ts";
import { LEVEL_COUNT } from "../world.ts";
import { FailureMass } from "./failure-mass.ts";

/** Draws an accuracy for each arm, takes each region's best level by p (1 - p), and spends by that times failure mass. */
export const thompson: PolicyKind = {
  name: "discounted Thompson",
  create(size, random) {
    const costs = new Costs(size);
    const mass = new FailureMass(size);
    const accuracies = new Accuracies(size);
    return {
      plan(reports) {
        mass.count(reports);
        const values = new Float64Array(armCount(size));
        for (let region = 0; region < values.length / LEVEL_COUNT; region++) {
          let [best, most] = [0, -1];
          for (let arm = region * LEVEL_COUNT; arm < (region + 1) * LEVEL_COUNT; arm++) {
            const p = accuracies.sample(arm, random);
            if (p * (1 - p) > most) [best, most] = [arm, p * (1 - p)];
          }
          values[best] = most * mass.of(region);
        }
        return byWorth(values, size.budget, costs);
      },
      learn(outcomes) {
        costs.learn(outcomes);
        accuracies.learn(outcomes);
      },
    };
  },
};
