import { DEFAULT_POLICY } from "../../../contracts/policy.ts";
import { endOfTick } from "../../statistics.ts";
import type { Reports, Size } from "../world.ts";

/** Each region's failure mass, as the product keeps it. */
export class FailureMass {
  readonly #mass: Float64Array;

  constructor({ tasks, errors }: Size) {
    this.#mass = new Float64Array(tasks * errors);
  }

  of(region: number): number {
    return this.#mass[region] as number;
  }

  count({ failures, exposures }: Reports): void {
    for (let r = 0; r < this.#mass.length; r++) {
      const news = { newFailures: failures[r] as number, newExposures: exposures[r] as number };
      const region = { failures: 0, exposures: 0, failureMass: this.of(r), ...news };
      this.#mass[r] = endOfTick(region, DEFAULT_POLICY.scheduler).failureMass;
    }
  }
}
