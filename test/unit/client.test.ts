import { afterAll, beforeAll, expect, test } from "vitest";
import { SCENARIOS } from "../client-scenarios/index.ts";
import { type IntakeServer, startIntakes } from "../client-scenarios/server.ts";

/** The client in Node, against real servers. */

let server: IntakeServer;
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeAll(async () => {
  server = await startIntakes();
  process.on("unhandledRejection", note);
});
afterAll(async () => {
  process.off("unhandledRejection", note);
  await server.close();
});

test.each(SCENARIOS)("$name", { timeout: 60_000 }, async ({ run }) => {
  const { origin, deadOrigin } = server;
  await run({ origin, deadOrigin, fetch });
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(unhandled).toEqual([]);
});
