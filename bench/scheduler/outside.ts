import Table from "cli-table3";
import { Random } from "../../shared/hardness/simulator/random.ts";
import type { Result } from "../run.ts";
import {
  type Bandit,
  DiscountedThompson,
  HORIZON,
  PROBLEM_1,
  regretOf,
  SlidingWindowKlUcb,
  windowFor,
} from "./bandits.ts";
import { AlpGmm, EPISODES, randomTeacher, teach } from "./grid.ts";
import { mean, standardError } from "./standings.ts";

/** Runs of each problem; mixtures take long. */
const BANDIT_RUNS = 200;
const GRID_RUNS = 100;
const MIXTURE_RUNS = 6;
/** Times when an arm of Problem 1 changes, which its authors' window is made for. */
const CHANGES = PROBLEM_1.length - 1;

interface Check {
  readonly name: string;
  readonly runs: number;
  readonly published: number;
  /** How far our mean may be from it. */
  readonly range: number;
  once(random: Random): number;
}

const regret = (bandit: () => Bandit) => (random: Random) => regretOf(bandit(), PROBLEM_1, HORIZON, random);

const CHECKS: readonly Check[] = [
  {
    name: "Problem 1: regret of sliding-window kl-UCB",
    runs: BANDIT_RUNS,
    published: 175,
    range: 10,
    once: regret(() => new SlidingWindowKlUcb(3, windowFor(HORIZON, CHANGES))),
  },
  {
    name: "Problem 1: regret of discounted Thompson, 0.99",
    runs: BANDIT_RUNS,
    published: 185,
    range: 10,
    once: regret(() => new DiscountedThompson(3, 0.99)),
  },
  {
    name: "ToyEnv: cells mastered at random, %",
    runs: GRID_RUNS,
    published: 4.1,
    range: 0.5,
    once: (random) => teach(randomTeacher(), EPISODES, random),
  },
  {
    name: "ToyEnv: cells mastered with ALP-GMM, %",
    runs: MIXTURE_RUNS,
    published: 35.2,
    range: 3,
    once: (random) => teach(new AlpGmm(), EPISODES, random),
  },
];

/** Published problems with published figures: do our bandits, generator and environments come out where others' do? */
export function outside(): Result[] {
  const table = new Table({ head: ["", "runs", "here", "published"], style: { head: [], border: [] } });
  const results = CHECKS.map(({ name, runs, published, range, once }): Result => {
    const values = Array.from({ length: runs }, (_, seed) => once(Random.seeded(seed)));
    table.push([name, runs, `${mean(values).toFixed(1)} ± ${standardError(values).toFixed(1)}`, published]);
    const value = Math.abs(mean(values) - published);
    return { name: `${name}: distance from ${published}`, value, unit: "", op: "<=", target: range };
  });
  console.log(table.toString());
  return results;
}
