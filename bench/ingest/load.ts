import { Pool } from "undici";
import { answerMessages } from "../../scripts/edge/group.ts";
import { Bodies, type Shape } from "./bodies.ts";

/** One cell of the benchmark: what is sent, over how many connections, and for how long. */
export interface Load {
  readonly url: string;
  readonly path: string;
  readonly key: string;
  readonly connections: number;
  /** How an answer says that all is stored: one result per event, or how many there are. Without events it need not. */
  readonly acknowledges: "each" | "all";
  /** null sends GET requests without a body. */
  readonly shape: Shape | null;
  readonly warmUpMs: number;
  /** It ends after this time, but not before each connection had two answers on average, */
  readonly measureMs: number;
  /** or when so many requests were sent. */
  readonly requests: number;
}

export interface Measured {
  /** Requests that were answered, the warm-up's too. */
  readonly answered: number;
  /** s */
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly eventsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Time of the processor that the generator itself took, as a share of one core. */
  readonly generatorCores: number;
}

const ANSWERS_PER_CONNECTION = 2;
const STORED = Buffer.from('"stored"');

/**
 * Sends requests over `connections` connections, each the next one after its last was answered, and times the answers. What is sent
 * during the warm-up is checked, but not counted.
 * @throws {Error} at the first answer that does not say that every event was stored
 */
async function run(load: Load): Promise<Measured> {
  const pool = new Pool(load.url, { connections: load.connections, pipelining: 1 });
  const epoch = Date.now();
  const lanes = Array.from({ length: load.connections }, (_, lane) =>
    load.shape ? new Bodies(load.shape, lane, epoch) : null,
  );
  const latencies: number[] = [];
  const from = performance.now() + load.warmUpMs;
  const until = from + load.measureMs;
  const cpuBefore = process.cpuUsage();
  let last = from;
  let sent = 0;
  let closed = false;
  await Promise.all(
    lanes.map(async (bodies) => {
      for (let now = performance.now(); !closed && sent < load.requests; ) {
        sent += 1;
        await exchange(pool, load, bodies?.next() ?? null);
        const then = now;
        now = performance.now();
        if (now < from || closed) continue;
        latencies.push(now - then);
        last = now;
        closed = now >= until && latencies.length >= ANSWERS_PER_CONNECTION * load.connections;
      }
    }),
  );
  const cpu = process.cpuUsage(cpuBefore);
  await pool.close();
  const sorted = Float64Array.from(latencies).sort();
  const seconds = (last - from) / 1000;
  return {
    answered: sent,
    seconds,
    requestsPerSecond: sorted.length / seconds,
    eventsPerSecond: (sorted.length * (load.shape?.eventsPerRequest ?? 0)) / seconds,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    generatorCores: (cpu.user + cpu.system) / 1000 / (last - from + load.warmUpMs),
  };
}

function exchange(pool: Pool, load: Load, body: Buffer | null): Promise<void> {
  const { path, key } = load;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const chunks: Buffer[] = [];
  let status = 0;
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  pool.dispatch(
    { path, method: body ? "POST" : "GET", headers, body },
    {
      onRequestStart() {},
      onResponseStart(_, statusCode) {
        status = statusCode;
      },
      onResponseData(_, chunk) {
        chunks.push(chunk);
      },
      onResponseEnd() {
        const answer = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
        if (status === 200 && isComplete(answer, load)) return resolve();
        reject(new Error(`${path}: ${status} ${answer.toString("utf8", 0, 400)}`));
      },
      onResponseError(_, error) {
        reject(error);
      },
    },
  );
  return promise;
}

function isComplete(answer: Buffer, { shape, acknowledges }: Load): boolean {
  if (!shape) return true;
  if (acknowledges === "all") return answer.toString() === `{"stored":${shape.eventsPerRequest}}`;
  return occurrences(answer, STORED) === shape.eventsPerRequest;
}

function occurrences(text: Buffer, part: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

/** The smallest latency that the share of the requests did not exceed. */
function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

answerMessages(run, async () => {});
