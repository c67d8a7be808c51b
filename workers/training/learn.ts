import { type Difficulties, START_DIFFICULTY } from "../../shared/hardness/state.ts";
import { afterRound } from "../../shared/hardness/statistics.ts";
import { type ErrorType, LEVELS } from "../../shared/taxonomy/taxonomy.ts";
import { type Lesson, roundScores } from "../store/completions.ts";
import { readStatistics } from "../store/statistics.ts";

/** What the round's reports teach about regions and difficulties. Reads the round's reports and the statistics. */
export async function learn(db: D1Database, roundId: string): Promise<Lesson> {
  const [scores, { regions, difficulties }] = await Promise.all([roundScores(db, roundId), readStatistics(db)]);
  const after = afterRound(regions, difficulties, scores);
  const before = new Map(regions.map((region) => [region.key, region]));
  return {
    regions: after.regions.map(({ levels: _, scored, ...region }) => {
      const scoredBefore = before.get(region.key)?.scored ?? 0;
      return { ...region, scoredBefore, scored: scored - scoredBefore };
    }),
    faded: after.regions.flatMap(({ key, levels }) =>
      LEVELS.flatMap((level, index) => {
        const [was, is] = [before.get(key)?.levels[index], levels[index]];
        if (!was || !is || was.attempted === 0) return [];
        return [{ region: key, level, attempted: was.attempted - is.attempted, refused: was.refused - is.refused }];
      }),
    ),
    difficulties: movesOf(difficulties, after.difficulties),
  };
}

function movesOf(before: Difficulties, after: Difficulties): Lesson["difficulties"] {
  return (Object.keys(after) as ErrorType[]).flatMap((errorType) =>
    LEVELS.flatMap((level, index) => {
      const was = before[errorType]?.[index] ?? START_DIFFICULTY[index] ?? 0;
      const moved = (after[errorType]?.[index] ?? was) - was;
      return moved === 0 ? [] : [{ errorType, level, before: was, moved }];
    }),
  );
}
