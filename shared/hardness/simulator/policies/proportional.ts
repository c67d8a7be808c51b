import { armCount, Costs, inProportion } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";
import { LEVEL_COUNT } from "../world.ts";
import { FailureMass } from "./failure-mass.ts";

/** As much as a region fails, the same for its levels. */
export const proportional: PolicyKind = {
  name: "proportional to failures",
  create(size, random) {
    const costs = new Costs(size);
    const mass = new FailureMass(size);
    return {
      plan(reports) {
        mass.count(reports);
        const weights = new Float64Array(armCount(size)).map((_, arm) => mass.of(Math.floor(arm / LEVEL_COUNT)));
        return inProportion(weights, size.budget, costs, random);
      },
      learn: (outcomes) => costs.learn(outcomes),
    };
  },
};
