import type { Random } from "../../shared/hardness/simulator/random.ts";
import { fitMixture, type Mixture, sampleGaussian } from "./mixture.ts";

/** Cells per side, visits that a cell can learn from, and those that master it. */
const SIDE = 10;
const MOST = 100;
const MASTERED = 75;
export const EPISODES = 20_000;

/**
 * The toy environment of Portelas et al. (CoRL 2019): a cell of the grid learns by one with each visit, if it is the first or
 * one of its neighbours towards the first was mastered.
 */
export class Grid {
  readonly #competence = new Float64Array(SIDE * SIDE);

  /** Visits the cell of a point in the unit square; returns its competence, 0 to 1. */
  visit([x = 0, y = 0]: readonly number[]): number {
    const cell = (value: number) => Math.min(SIDE - 1, Math.floor(value * SIDE));
    const [column, row] = [cell(x), cell(y)];
    const at = (c: number, r: number) => this.#competence[r * SIDE + c] ?? 0;
    const behind = [at(column - 1, row), at(column, row - 1), at(column - 1, row - 1)];
    const open = [column > 0, row > 0, column > 0 && row > 0];
    const unlocked = (column === 0 && row === 0) || behind.some((value, i) => open[i] && value >= MASTERED);
    const before = at(column, row);
    const after = unlocked ? Math.min(before + 1, MOST) : before;
    this.#competence[row * SIDE + column] = after;
    return after / MOST;
  }

  /** Share of mastered cells, per cent. */
  score(): number {
    return (100 * this.#competence.filter((value) => value > MASTERED).length) / this.#competence.length;
  }
}

export interface Teacher {
  task(random: Random): number[];
  learn(task: readonly number[], reward: number, random: Random): void;
}

export const randomTeacher = (): Teacher => ({ task: anywhere, learn() {} });

/** Episodes between two fits, which are made on the episodes since the last one. */
const FIT_EVERY = 250;
const RANDOM_SHARE = 0.2;
const COMPONENTS = [2, 3, 4, 5, 6, 7, 8, 9, 10] as const;
/** Visits before progress is measured. */
const FIRST_VISITS = 5;

/**
 * ALP-GMM (Portelas et al., CoRL 2019): absolute learning progress is the change of reward against the nearest earlier task; a
 * mixture of Gaussians over task and progress, its size chosen by AIC, says where to go, by mean progress.
 */
export class AlpGmm implements Teacher {
  /** Points so far: x and y in turn. */
  readonly #points: number[] = [];
  readonly #rewards: number[] = [];
  #recent: number[][] = [];
  #mixture: Mixture | null = null;

  task(random: Random): number[] {
    if (!this.#mixture || random.uniform() < RANDOM_SHARE) return anywhere(random);
    const { gaussians } = this.#mixture;
    const progress = gaussians.map(({ mean }) => Math.max(0, mean[2] ?? 0));
    const total = progress.reduce((sum, value) => sum + value, 0);
    const chosen = gaussians[total > 0 ? random.weighted(progress, total) : random.below(gaussians.length)];
    if (!chosen) return anywhere(random);
    return sampleGaussian(chosen, random)
      .slice(0, 2)
      .map((value) => Math.min(1, Math.max(0, value)));
  }

  learn(task: readonly number[], reward: number, random: Random): void {
    const known = this.#rewards.length > FIRST_VISITS;
    const progress = known ? Math.abs(reward - (this.#rewards[this.#nearest(task)] ?? 0)) : 0;
    this.#points.push(...task);
    this.#rewards.push(reward);
    this.#recent.push([...task, progress]);
    if (this.#recent.length < FIT_EVERY) return;
    const fits = COMPONENTS.map((components) => fitMixture(this.#recent, components, random));
    this.#mixture = fits.reduce((best, fit) => (fit.aic < best.aic ? fit : best));
    this.#recent = [];
  }

  #nearest([x = 0, y = 0]: readonly number[]): number {
    let [nearest, least] = [0, Number.POSITIVE_INFINITY];
    for (let i = 0; i < this.#rewards.length; i++) {
      const [dx, dy] = [(this.#points[2 * i] as number) - x, (this.#points[2 * i + 1] as number) - y];
      const distance = dx * dx + dy * dy;
      if (distance < least) {
        nearest = i;
        least = distance;
      }
    }
    return nearest;
  }
}

function anywhere(random: Random): number[] {
  return [random.uniform(), random.uniform()];
}

/** Share of cells that a teacher led to mastery, per cent. */
export function teach(teacher: Teacher, episodes: number, random: Random): number {
  const grid = new Grid();
  for (let i = 0; i < episodes; i++) {
    const task = teacher.task(random);
    teacher.learn(task, grid.visit(task), random);
  }
  return grid.score();
}
