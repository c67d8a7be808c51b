import Table from "cli-table3";
import { oracle, POLICIES, staircase, uniform } from "../../shared/hardness/simulator/policies.ts";
import type { Run } from "./pool.ts";

/** How one policy did, in hundredths of the way from uniform to the oracle. */
export interface Standing {
  readonly name: string;
  readonly mean: number;
  /** Mean of the learner and scenario where it does worst. */
  readonly worst: number;
  /** Mean difference to the staircase in the same worlds, with its standard error over seeds. */
  readonly ahead: number;
  readonly aheadError: number;
  /** Mean accuracy in use. */
  readonly area: number;
  readonly saturated: number;
  readonly error: number;
}

/** One standing per policy, in their order. Every cell weighs the same. */
export function standings(runs: readonly Run[]): Standing[] {
  const place = (name: string) => POLICIES.findIndex((policy) => policy.name === name);
  const [zero, hundred, opponent] = [place(uniform.name), place(oracle.name), place(staircase.name)];
  const gap = ({ traces }: Run, policy: number) => {
    const area = (at: number) => traces[at]?.area ?? Number.NaN;
    return (100 * (area(policy) - area(zero))) / (area(hundred) - area(zero));
  };
  return POLICIES.map(({ name }, policy) => {
    const closed = (some: readonly Run[]) => mean(some.map((run) => gap(run, policy)));
    const traces = runs.flatMap((run) => run.traces[policy] ?? []);
    const bySeed = [...Map.groupBy(runs, ({ seed }) => seed).values()];
    const byCell = [...Map.groupBy(runs, ({ learner, scenario }) => `${learner} ${scenario}`).values()];
    const ahead = bySeed.map((some) => mean(some.map((run) => gap(run, policy) - gap(run, opponent))));
    return {
      name,
      mean: closed(runs),
      worst: Math.min(...byCell.map(closed)),
      ahead: mean(ahead),
      aheadError: standardError(ahead),
      area: mean(traces.map(({ area }) => area)),
      saturated: mean(traces.map(({ saturated }) => saturated)),
      error: mean(traces.map(({ error }) => error)),
    };
  });
}

export function printTable(title: string, rows: readonly Standing[]): void {
  const head = [title, "gap closed %", "worst cell", `ahead of ${staircase.name}`, "accuracy", "saturated %", "error"];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { name, mean, worst, ahead, aheadError, area, saturated, error } of rows) {
    table.push([
      name,
      mean.toFixed(1),
      worst.toFixed(1),
      `${ahead.toFixed(1)} ± ${aheadError.toFixed(1)}`,
      area.toFixed(4),
      (100 * saturated).toFixed(2),
      Number.isNaN(error) ? "" : error.toFixed(3),
    ]);
  }
  console.log(table.toString());
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function standardError(values: readonly number[]): number {
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}
