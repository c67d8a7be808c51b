import Table from "cli-table3";
import type { Result } from "../run.ts";
import { CEILING_ROW, CONNECTIONS, type MeasuredCell, rowName, type Size } from "./cells.ts";

const TARGETS = { shareOfCeiling: 0.55, shareOfRaw: 0.5, eventsPerSecond: 3_100, shareOfEmpty: 0.8 } as const;

const whole = (value: number) => Math.round(value).toLocaleString("en-GB");
/** Events per second; of requests that carry none, requests. */
const rate = (cell: MeasuredCell) => (cell.shape ? cell.eventsPerSecond : cell.requestsPerSecond);

/** All cells: events per second, and the median and 99th percentile of the latency in ms. */
export function cellTable(cells: readonly MeasuredCell[]): string {
  const head = CONNECTIONS.map((n) => (n === 1 ? "1 connection" : `${n} connections`));
  const table = new Table({ head: ["events/s (p50 / p99 ms)", ...head], style: { head: [], border: [] } });
  for (const [row, ofRow] of Map.groupBy(cells, (cell) => cell.row)) {
    const texts = CONNECTIONS.map((connections) => {
      const cell = ofRow.find((one) => one.connections === connections);
      return cell ? `${whole(rate(cell))} (${cell.p50Ms.toFixed(1)} / ${cell.p99Ms.toFixed(1)})` : "";
    });
    table.push([row, ...texts]);
  }
  return table.toString();
}

export function filledRowName(size: Size): string {
  return `${rowName("nearmiss", size)}, filled store`;
}

/** The figures that have a target, as far as their cells were measured. */
export function verdicts(cells: readonly MeasuredCell[]): Result[] {
  const rateAt = (row: string, connections: number) => {
    const cell = cells.find((one) => one.row === row && one.connections === connections);
    return cell && rate(cell);
  };
  const best = (row: string) => {
    const rates = cells.filter((cell) => cell.row === row).map(rate);
    return rates.length > 0 ? Math.max(...rates) : undefined;
  };
  const ofEmpty = (size: Size, connections: number) =>
    share(rateAt(filledRowName(size), connections), rateAt(rowName("nearmiss", size), connections));
  const single = rateAt(rowName("nearmiss", "single"), 64);
  const figures: [name: string, value: number | undefined, unit: string, target: number][] = [
    [
      "single events at 64: of the same Worker storing nothing",
      share(single, rateAt(rowName("unstored", "single"), 64)),
      "share",
      TARGETS.shareOfCeiling,
    ],
    [
      "single events at 64: of the same Worker answering GET /healthz",
      share(single, rateAt(CEILING_ROW, 64)),
      "share",
      TARGETS.shareOfCeiling,
    ],
    ["single events at 64", single, "events/s", TARGETS.eventsPerSecond],
    [
      "batches of 500: of the raw statement",
      share(best(rowName("nearmiss", "500")), best(rowName("raw", "500"))),
      "share",
      TARGETS.shareOfRaw,
    ],
    ["single events at 64: of the empty store", ofEmpty("single", 64), "share", TARGETS.shareOfEmpty],
    ["batches of 500 at 8: of the empty store", ofEmpty("500", 8), "share", TARGETS.shareOfEmpty],
  ];
  return figures.flatMap(([name, value, unit, target]) =>
    value === undefined ? [] : [{ name, value, unit, op: ">=" as const, target }],
  );
}

function share(part: number | undefined, whole: number | undefined): number | undefined {
  return part === undefined || whole === undefined ? undefined : part / whole;
}
