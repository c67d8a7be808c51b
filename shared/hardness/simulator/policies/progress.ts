import { armCount, armOf, Costs, inOrder, inProportion } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";

/** Part of the budget that is spent without looking. */
const EPSILON = 0.1;
/** Weight of the newest progress. */
const STEP = 0.1;

/**
 * Learning progress with an epsilon-greedy choice (the "online" teacher of Matiisen et al. 2017): an arm's worth is the moving
 * average of how its accuracy changes from visit to visit, up or down.
 */
export const progress: PolicyKind = {
  name: "learning progress",
  create(size, random) {
    const costs = new Costs(size);
    const count = armCount(size);
    const worth = new Float64Array(count);
    const accuracy = new Float64Array(count).fill(Number.NaN);
    const everything = new Float64Array(count).fill(1);
    return {
      plan() {
        const arms = random
          .permutation(count)
          .sort((a, b) => Math.abs(worth[b] as number) - Math.abs(worth[a] as number));
        return [
          ...inProportion(everything, EPSILON * size.budget, costs, random),
          ...inOrder(arms, (1 - EPSILON) * size.budget, costs),
        ];
      },
      learn(outcomes) {
        costs.learn(outcomes);
        for (const outcome of outcomes) {
          const arm = armOf(outcome);
          const scored = outcome.attempted - outcome.refused;
          if (scored === 0) continue;
          const now = outcome.right / scored;
          const before = accuracy[arm] as number;
          if (!Number.isNaN(before))
            worth[arm] = (worth[arm] as number) + STEP * (now - before - (worth[arm] as number));
          accuracy[arm] = now;
        }
      },
    };
  },
};
