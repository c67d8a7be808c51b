import { type FailureReport, Reporter, type ReporterOptions, type Stats } from "../../client/src/index.ts";
import type { Intake, MisbehaviourName } from "./intake.ts";

/** Where scenarios run: Node, workerd, or a page. */
export interface World {
  /** Where `Intakes` answers. */
  origin: string;
  /** Where nobody answers. */
  deadOrigin: string;
  fetch: typeof fetch;
}

export interface Scenario {
  name: string;
  run: (world: World) => Promise<void>;
}

type Seen = ReturnType<Intake["seen"]>;
interface Run {
  reporter: Reporter;
  seen: () => Promise<Seen>;
}

export const KEY = "nm_secret-of-the-test";

/** A reporter that hurries, and the API it reports to. */
export function begin(world: World, name: MisbehaviourName, options: Partial<ReporterOptions> = {}): Run {
  const run = `${world.origin}/run/${crypto.randomUUID()}`;
  const baseUrl = `${run}/${encodeURIComponent(name)}`;
  const { fetch } = world;
  const hurried = { lingerMs: 10, retryFirstMs: 10, retryMaxMs: 100, timeoutMs: 500, fetch };
  const reporter = new Reporter({ baseUrl, ...(!options.token && { key: KEY }), ...hurried, ...options });
  return { reporter, seen: async () => (await (await fetch(`${run}/seen`)).json()) as Seen };
}

export function failure(fields: Partial<FailureReport> = {}): FailureReport {
  return {
    model: "mini-1",
    conversation: [{ role: "user", content: [{ type: "text", text: "How many dogs are there?" }] }],
    response: "There are three dogs.",
    ...fields,
  };
}

/** Every event that was given to the reporter is in exactly one of the counts. */
export function settled(stats: Stats): number {
  const { stored, duplicate, conflict, invalid, queued, dropped, sampledOut, redacted, waiting } = stats;
  return stored + duplicate + conflict + invalid + queued + dropped + sampledOut + redacted + waiting;
}

export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

export function equal(actual: unknown, expected: unknown, message: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(a === b, `${message}: expected ${b}, got ${a}`);
}

/** Waits until it holds. */
export async function until(holds: () => boolean | Promise<boolean>, message: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never: ${message}`);
}
