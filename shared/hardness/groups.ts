import type { RegionState } from "./state.ts";

type Cell = Pick<RegionState, "task" | "language" | "modality">;

/** Numbers the groups of regions that draw on the same sources, which are of one task, language and modality. */
export class Groups {
  /** The number of each region's group. */
  readonly numbers: Uint32Array;
  /** How many groups there are. */
  count = 0;

  constructor(regions: readonly Cell[]) {
    this.numbers = new Uint32Array(regions.length);
    // Maps in maps: to put a key together for each of so many regions costs more.
    const byTask = new Map<string, Map<string, Map<string, number>>>();
    for (let i = 0; i < regions.length; i++) {
      const { task, language, modality } = regions[i] as Cell;
      const byModality = within(within(byTask, task), language);
      let number = byModality.get(modality);
      if (number === undefined) {
        number = this.count++;
        byModality.set(modality, number);
      }
      this.numbers[i] = number;
    }
  }
}

function within<T>(maps: Map<string, Map<string, T>>, name: string): Map<string, T> {
  let map = maps.get(name);
  if (!map) {
    map = new Map();
    maps.set(name, map);
  }
  return map;
}
