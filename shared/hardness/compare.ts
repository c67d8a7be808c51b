import type { Level } from "../taxonomy/taxonomy.ts";
import type { Plan } from "./state.ts";

export interface RegionMove {
  readonly region: string;
  readonly pairsBefore: number;
  readonly pairsAfter: number;
  /** Of its line with most pairs; null where it gets none. */
  readonly levelBefore: Level | null;
  readonly levelAfter: Level | null;
}

/**
 * Two plans side by side. `moved` is half the sum of the changes of the regions' shares of their plan: 0 where nothing changes,
 * 1 where no region keeps anything. `regions` are those of either plan, the ones whose pairs change most first.
 */
export function comparePlans(before: Plan, after: Plan): { moved: number; regions: RegionMove[] } {
  const [old, now] = [byRegion(before), byRegion(after)];
  const regions = [...new Set([...old.keys(), ...now.keys()])].map((region): RegionMove => {
    const [was, is] = [old.get(region), now.get(region)];
    return {
      region,
      pairsBefore: was?.pairs ?? 0,
      pairsAfter: is?.pairs ?? 0,
      levelBefore: was?.level ?? null,
      levelAfter: is?.level ?? null,
    };
  });
  const change = ({ pairsBefore, pairsAfter }: RegionMove) => Math.abs(pairsAfter - pairsBefore);
  regions.sort((a, b) => change(b) - change(a) || (a.region < b.region ? -1 : 1));
  const [all, allNow] = [Math.max(1, before.planned), Math.max(1, after.planned)];
  const moved = regions.reduce(
    (sum, { pairsBefore, pairsAfter }) => sum + Math.abs(pairsAfter / allNow - pairsBefore / all) / 2,
    0,
  );
  return { moved: Math.min(1, moved), regions };
}

/** Pairs of each region, and the level of its line with most of them; the lowest of equal ones. */
function byRegion({ lines }: Plan): Map<string, { pairs: number; level: Level }> {
  const regions = new Map<string, { pairs: number; level: Level; most: number }>();
  for (const { region, pairs, level } of lines) {
    const one = regions.get(region);
    if (!one) regions.set(region, { pairs, level, most: pairs });
    else {
      one.pairs += pairs;
      if (pairs > one.most || (pairs === one.most && level < one.level)) Object.assign(one, { level, most: pairs });
    }
  }
  return regions;
}
