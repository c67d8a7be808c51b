import type { GateCandidate } from "../store/rounds.ts";

/**
 * The ids of at most `maxItems` questions, one of each task in turn, so that no task crowds the others out. Within a task the
 * order of the candidates stays.
 */
export function byTaskInTurn(candidates: readonly GateCandidate[], maxItems: number): string[] {
  const ranks = new Map<string, number>();
  const ranked = candidates.map(({ id, task }) => {
    const rank = ranks.get(task) ?? 0;
    ranks.set(task, rank + 1);
    return { id, rank };
  });
  // The sort is stable: within a turn the tasks keep the order in which they came.
  return ranked
    .sort((a, b) => a.rank - b.rank)
    .slice(0, maxItems)
    .map(({ id }) => id);
}
