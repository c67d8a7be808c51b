import { armCount, armOf, Costs, inProportion } from "../arms.ts";
import type { PolicyKind } from "../policy.ts";

/** Ranks weigh 1/rank to the power of 1 over this. */
const TEMPERATURE = 0.3;
/** Part of the weight that goes to arms by how long they were not visited. */
const STALENESS = 0.3;

/**
 * Prioritised level replay (Jiang, Grefenstette and Rocktäschel, ICML 2021) with arms for the levels of the game: ranked by the
 * mean error of a value estimate, here |right or wrong - accuracy seen before|, and mixed with staleness. Arms that were never
 * visited come first. Temperature and staleness are those of its robust form on mazes (Jiang et al., NeurIPS 2021).
 */
export const replay: PolicyKind = {
  name: "prioritised level replay",
  create(size, random) {
    const costs = new Costs(size);
    const count = armCount(size);
    const errors = new Float64Array(count).fill(1);
    const values = new Float64Array(count).fill(0.5);
    const visited = new Float64Array(count);
    let round = 0;
    return {
      plan() {
        round++;
        const ranked = new Float64Array(count);
        const order = random.permutation(count).sort((a, b) => (errors[b] as number) - (errors[a] as number));
        for (const [i, arm] of order.entries()) ranked[arm] = (i + 1) ** (-1 / TEMPERATURE);
        const stale = visited.map((at) => round - at);
        const [byRank, byAge] = [total(ranked), total(stale)];
        const weights = ranked.map(
          (weight, arm) => ((1 - STALENESS) * weight) / byRank + (STALENESS * (stale[arm] as number)) / byAge,
        );
        return inProportion(weights, size.budget, costs, random);
      },
      learn(outcomes) {
        costs.learn(outcomes);
        for (const outcome of outcomes) {
          const arm = armOf(outcome);
          const scored = outcome.attempted - outcome.refused;
          visited[arm] = round;
          if (scored === 0) continue;
          const [before, now] = [values[arm] as number, outcome.right / scored];
          errors[arm] = now * (1 - before) + (1 - now) * before;
          values[arm] = now;
        }
      },
    };
  },
};

function total(weights: Float64Array): number {
  return weights.reduce((sum, weight) => sum + weight, 0);
}
