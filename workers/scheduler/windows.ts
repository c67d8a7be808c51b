import type { SchedulerPolicy } from "../../shared/contracts/policy.ts";
import { Groups } from "../../shared/hardness/groups.ts";
import type { SourceGroup, SourceWindow } from "../store/supply.ts";

/** Pairs that a group may get, in multiples of its share: a plan gives the best regions more than that. */
const GENEROSITY = 3;
/** Sources beyond the pairs to order, in all groups together, so that balance leaves a choice; and the bounds for one group. */
const SPARE_PER_TICK = 40_000;
const SPARE_MIN = 8;
const SPARE_MAX = 200;

/** Regions that draw on the same sources. */
export interface RegionGroup extends SourceGroup {
  regions: number;
  /** Of their failures. */
  mass: number;
}

/** The groups by their numbers, and the number of each region's group. */
export function groupRegions<R extends SourceGroup>(
  regions: readonly R[],
  massOf: (region: R) => number,
): { groups: RegionGroup[]; groupOf: Uint32Array } {
  const { numbers } = new Groups(regions);
  const groups: RegionGroup[] = [];
  regions.forEach((region, i) => {
    const number = numbers[i] ?? 0;
    const { task, language, modality } = region;
    const group = groups[number] ?? { task, language, modality, regions: 0, mass: 0 };
    groups[number] = group;
    group.regions += 1;
    group.mass += massOf(region);
  });
  return { groups, groupOf: numbers };
}

/**
 * How far each group's sources are looked at, in the order of the groups: as far as its share of the regions or of their failures
 * may take its part of the budget, and a little further. Limits are powers of two, so that few statements do for all groups.
 */
export function windowsOf(
  groups: readonly RegionGroup[],
  { budgetPairs, capShare }: Pick<SchedulerPolicy, "budgetPairs" | "capShare">,
): SourceWindow[] {
  let [regions, mass] = [0, 0];
  for (const group of groups) {
    regions += group.regions;
    mass += group.mass;
  }
  const cap = Math.ceil(budgetPairs * capShare);
  const spare = Math.min(SPARE_MAX, Math.max(SPARE_MIN, Math.floor(SPARE_PER_TICK / Math.max(1, groups.length))));
  return groups.map((group) => {
    const share = Math.max(group.regions / regions, mass > 0 ? group.mass / mass : 0);
    const pairs = Math.min(budgetPairs, cap * group.regions, GENEROSITY * budgetPairs * share);
    return { group, limit: powerOfTwo(Math.ceil(pairs) + spare) };
  });
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(atLeast));
}
