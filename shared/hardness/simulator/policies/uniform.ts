import { armCount, Costs, inProportion } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";

/** The same for every level of every region: the zero of the scale. */
export const uniform: PolicyKind = {
  name: "uniform",
  create(size, random) {
    const costs = new Costs(size);
    const weights = new Float64Array(armCount(size)).fill(1);
    return {
      plan: () => inProportion(weights, size.budget, costs, random),
      learn: (outcomes) => costs.learn(outcomes),
    };
  },
};
