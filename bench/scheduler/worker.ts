import { parentPort } from "node:worker_threads";
import { LEARNERS } from "../../shared/hardness/simulator/learners.ts";
import { POLICIES } from "../../shared/hardness/simulator/policies.ts";
import { simulate } from "../../shared/hardness/simulator/run.ts";
import { SCENARIOS, SIZES } from "../../shared/hardness/simulator/world.ts";
import type { Cell } from "./pool.ts";

parentPort?.on("message", ({ regions, learner, scenario, seed }: Cell) => {
  const [learns, happens] = [LEARNERS[learner], SCENARIOS[scenario]];
  if (!learns || !happens) throw new RangeError(`no such cell: learner ${learner}, scenario ${scenario}`);
  parentPort?.postMessage(POLICIES.map((kind) => simulate(kind, SIZES[regions], learns, happens, seed)));
});
