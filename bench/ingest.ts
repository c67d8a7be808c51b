import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { bundleWorker } from "../scripts/edge/bundle.ts";
import {
  CONNECTIONS,
  comparison,
  type MeasuredCell,
  measure,
  SIZES,
  type Size,
  shapeOf,
  variations,
} from "./ingest/cells.ts";
import { cellTable, filledRowName, verdicts } from "./ingest/report.ts";
import { type Bundles, startServer } from "./ingest/servers.ts";
import { storeNothing } from "./ingest/store-nothing.ts";
import type { Result } from "./run.ts";

const ROOT = dirname(import.meta.dirname);
/** So long nothing is counted: code is compiled and connections are opened. */
const WARM_UP_MS = 1_500;
const FOREVER = Number.POSITIVE_INFINITY;

/**
 * Events per second that are acknowledged after the commit, beside yardsticks on the same machine, one at a time: the same Worker
 * without storing, the bare insertion in D1, and a plain Node server.
 * `--seconds N` per cell (4), `--only single|50|500`, `--rows N`: the same again on a store with N events.
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { sizes, measureMs, rows } = readOptions(args);
  const span = { warmUpMs: WARM_UP_MS, measureMs, requests: FOREVER };
  const worker = join(ROOT, "workers/index.ts");
  const bundles: Bundles = {
    nearmiss: await bundleWorker(worker, false),
    unstored: await bundleWorker(worker, false, [storeNothing]),
  };
  const done: MeasuredCell[] = [];
  for (const { server: name, cells } of [...comparison(sizes), ...variations(sizes)]) {
    const server = await startServer(name, bundles);
    try {
      for (const cell of cells) done.push(tell(await measure(server, cell, span)));
    } finally {
      await server.close();
    }
  }
  if (rows > 0) done.push(...(await onFilledStore(bundles, sizes, rows, span)));
  console.log(cellTable(done));
  return verdicts(done);
}

/** Fills a store through the API, then measures on it. It goes on growing meanwhile. */
async function onFilledStore(
  bundles: Bundles,
  sizes: readonly Size[],
  rows: number,
  span: Parameters<typeof measure>[2],
): Promise<MeasuredCell[]> {
  const server = await startServer("nearmiss", bundles);
  const cells: MeasuredCell[] = [];
  let events = 0;
  let bytes = 0;
  const count = (cell: MeasuredCell) => {
    events += cell.answered * (cell.shape?.eventsPerRequest ?? 0);
    return tell(cell);
  };
  try {
    const shape = shapeOf("500");
    const requests = Math.ceil(rows / shape.eventsPerRequest);
    const filling = { row: `filling the store with ${rows} events`, connections: 8, shape };
    cells.push(count(await measure(server, filling, { warmUpMs: 0, measureMs: FOREVER, requests })));
    for (const size of sizes) {
      for (const connections of CONNECTIONS) {
        const cell = { row: filledRowName(size), connections, shape: shapeOf(size) };
        cells.push(count(await measure(server, cell, span)));
      }
    }
  } finally {
    bytes = await server.close();
  }
  console.log(`${events} events take ${(bytes / 1e6).toFixed(0)} MB, ${Math.round(bytes / events)} bytes an event`);
  return cells;
}

/** Says at once what was measured: the whole takes minutes. */
function tell(cell: MeasuredCell): MeasuredCell {
  const { row, connections, seconds, requestsPerSecond, eventsPerSecond, p50Ms, p99Ms, generatorCores } = cell;
  const rates = `${eventsPerSecond.toFixed(0)} events/s, ${requestsPerSecond.toFixed(0)} requests/s`;
  const latency = `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
  const cost = `in ${seconds.toFixed(1)} s, generator ${generatorCores.toFixed(2)} cores`;
  console.error(`${row}, ${connections} connections: ${rates}, ${latency}, ${cost}`);
  return cell;
}

function readOptions(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "4" },
      only: { type: "string" },
      rows: { type: "string", default: "0" },
    },
  });
  const sizes = values.only === undefined ? SIZES : SIZES.filter((size) => size === values.only);
  const measureMs = Number(values.seconds) * 1_000;
  const rows = Number(values.rows);
  if (sizes.length === 0 || !(measureMs > 0) || !Number.isInteger(rows) || rows < 0) {
    console.error(`npm run bench -- ingest [--seconds N] [--only ${SIZES.join("|")}] [--rows N]`);
    process.exit(2);
  }
  return { sizes, measureMs, rows };
}
