import { DELIVERY } from "./delivery.ts";
import { TAKING } from "./taking.ts";
import type { Scenario } from "./world.ts";

/** What the client must do wherever it runs. */
export const SCENARIOS: readonly Scenario[] = [...TAKING, ...DELIVERY];
