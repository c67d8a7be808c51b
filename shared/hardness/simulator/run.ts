import type { Learner } from "./learners.ts";
import type { PolicyKind } from "./policy.ts";
import { Random } from "./random.ts";
import { ROUNDS, type Scenario, type Size, World } from "./world.ts";

/** Valid pairs that the model has right more often than this teach nothing: a policy that orders them wastes them. */
const SATURATED = 0.95;

/** What one policy did in one world. */
export interface Trace {
  /** Accuracy in use over all traffic, after each round. */
  readonly accuracy: readonly number[];
  /** Mean of it: the area under the curve. */
  readonly area: number;
  /** Share of ordered pairs that were saturated. */
  readonly saturated: number;
  /** Mean distance of predicted and true accuracy, over ordered pairs; NaN if the policy predicts nothing. */
  readonly error: number;
}

/** One policy through all rounds of one world. Both depend on the seed alone. */
export function simulate(kind: PolicyKind, size: Size, learner: Learner, scenario: Scenario, seed: number): Trace {
  const world = new World(size, learner, scenario, seed);
  const policy = kind.create(size, Random.seeded(seed, 3), world);
  const accuracy: number[] = [];
  let [pairs, saturated, predicted, missed] = [0, 0, 0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const orders = policy.plan(world.report());
    for (const order of orders) {
      pairs += order.pairs;
      if (world.probability(order.region, order.level) > SATURATED) saturated += order.pairs;
    }
    for (const order of policy.expected ?? []) {
      predicted += order.pairs;
      missed += order.pairs * Math.abs(order.predicted - world.probability(order.region, order.level));
    }
    policy.learn(world.advance(orders));
    accuracy.push(world.accuracy());
  }
  const area = accuracy.reduce((sum, value) => sum + value, 0) / ROUNDS;
  return { accuracy, area, saturated: pairs === 0 ? 0 : saturated / pairs, error: missed / predicted };
}
