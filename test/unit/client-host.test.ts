import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type IntakeServer, startIntakes } from "../client-scenarios/server.ts";
import { begin, failure } from "../client-scenarios/world.ts";

/** What the host feels of the client: nothing. */

const CALLS = 400;
const ROUNDS = 3;

let server: IntakeServer;
beforeAll(async () => {
  server = await startIntakes();
});
afterAll(() => server.close());

function quantile(values: number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.POSITIVE_INFINITY;
}

/** As a text from the network is: in one piece. */
function text(bytes: number): string {
  return new TextDecoder().decode(new Uint8Array(bytes).fill(97));
}

test.each([
  ["nobody answers", "none", 100_000],
  ["nobody answers", "none", 300],
  ["the answer never comes", "no answer at first", 100_000],
  ["the answers are lies", "lies at first", 100_000],
] as const)(
  "%s: a call of report() takes less than a millisecond, nine times of ten (%s, %i bytes)",
  async (who, name, bytes) => {
    const origin = who === "nobody answers" ? server.deadOrigin : server.origin;
    const quiet: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { reporter } = begin({ origin, deadOrigin: server.deadOrigin, fetch }, name, { queueBytes: 100_000_000 });
      const times: number[] = [];
      for (let call = 0; call < CALLS; call++) {
        const event = failure({ response: text(bytes) });
        const begun = performance.now();
        const id = reporter.report(event);
        times.push(performance.now() - begun);
        expect(id).not.toBeNull();
        if (call % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      quiet.push(quantile(times.slice(CALLS / 4), 0.9));
      await reporter.close(0);
    }
    // Other programs and the garbage collector may disturb some calls of every round, and most calls of some.
    expect(Math.min(...quiet)).toBeLessThan(1);
  },
  60_000,
);

test("an event that waits does not keep the process alive", async () => {
  const client = fileURLToPath(new URL("../../client/src/index.ts", import.meta.url));
  const program = `
    import { Reporter } from ${JSON.stringify(client)};
    const reporter = new Reporter({ baseUrl: ${JSON.stringify(server.deadOrigin)}, key: "nm_k", retryFirstMs: 60_000 });
    const id = reporter.report(${JSON.stringify(failure())});
    console.log(typeof id, await reporter.flush(400), reporter.stats().waiting);
  `;
  const args = ["--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  expect(stdout).toBe("string false 1\n");
}, 30_000);
