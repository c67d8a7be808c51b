import { Reporter } from "../../client/src/index.ts";
import { SCENARIOS } from "./index.ts";
import type { World } from "./world.ts";

/** What the page of the browser tests offers to the test that drives it. */
const offered = {
  Reporter,
  run: (name: string, origins: Omit<World, "fetch">) => {
    const scenario = SCENARIOS.find((one) => one.name === name);
    if (!scenario) throw new Error(`no scenario ${name}`);
    return scenario.run({ ...origins, fetch: (input, init) => fetch(input, init) });
  },
};
export type Offered = typeof offered;

Object.assign(globalThis, { nearmiss: offered });
