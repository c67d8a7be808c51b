import { armCount, Costs, inOrder } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";
import { Accuracies } from "../posterior.ts";

/** What the model gets wrong most often comes first; of what was never tried, the higher levels. */
export const hardest: PolicyKind = {
  name: "hardest first",
  create(size) {
    const costs = new Costs(size);
    const accuracies = new Accuracies(size);
    return {
      plan() {
        const arms = Array.from({ length: armCount(size) }, (_, arm) => arm);
        arms.sort((a, b) => accuracies.mean(a) - accuracies.mean(b) || b - a);
        return inOrder(arms, size.budget, costs);
      },
      learn(outcomes) {
        costs.learn(outcomes);
        accuracies.learn(outcomes);
      },
    };
  },
};
