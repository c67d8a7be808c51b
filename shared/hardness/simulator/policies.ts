import { hardest } from "./policies/hardest.ts";
import { oracle, seer } from "./policies/oracle.ts";
import { productStaircase, thisDesign } from "./policies/production.ts";
import { progress } from "./policies/progress.ts";
import { proportional } from "./policies/proportional.ts";
import { replay } from "./policies/replay.ts";
import { staircase } from "./policies/staircase.ts";
import { thompson } from "./policies/thompson.ts";
import { uniform } from "./policies/uniform.ts";
import type { PolicyKind } from "./policy.ts";

/** Who is compared. `uniform` is the zero of the scale and `oracle` its hundred. */
export const POLICIES: readonly PolicyKind[] = [
  uniform,
  hardest,
  replay,
  progress,
  proportional,
  thompson,
  productStaircase,
  staircase,
  thisDesign,
  oracle,
  seer,
];
export { hardest, oracle, staircase, thisDesign, uniform };
