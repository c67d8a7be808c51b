import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { LEARNERS } from "../../shared/hardness/simulator/learners.ts";
import type { Trace } from "../../shared/hardness/simulator/run.ts";
import { SCENARIOS, type SIZES } from "../../shared/hardness/simulator/world.ts";

/** One world: places in `LEARNERS` and `SCENARIOS`, since functions do not travel between threads. */
export interface Cell {
  readonly regions: keyof typeof SIZES;
  readonly learner: number;
  readonly scenario: number;
  readonly seed: number;
}

/** What every policy did in one world, in the order of `POLICIES`. */
export interface Run extends Cell {
  readonly traces: readonly Trace[];
}

export function cellsOf(regions: Cell["regions"], from: number, seeds: number): Cell[] {
  return Array.from({ length: seeds }, (_, i) =>
    LEARNERS.flatMap((_learner, learner) =>
      SCENARIOS.map((_scenario, scenario) => ({ regions, learner, scenario, seed: from + i })),
    ),
  ).flat();
}

/** Runs every cell, one thread per core, each taking the next cell when it is done with one. In the order of the cells. */
export async function simulateAll(cells: readonly Cell[]): Promise<Run[]> {
  const runs: Run[] = [];
  let next = 0;
  const work = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url));
      const hand = () => {
        const place = next++;
        const cell = cells[place];
        if (!cell) {
          resolve(worker.terminate().then(() => undefined));
          return;
        }
        worker.once("message", (traces: readonly Trace[]) => {
          runs[place] = { ...cell, traces };
          hand();
        });
        worker.postMessage(cell);
      };
      worker.once("error", reject);
      hand();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), cells.length) }, work));
  return runs;
}
