import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { type Difficulties, START_DIFFICULTY } from "../../shared/hardness/state.ts";
import { afterRound } from "../../shared/hardness/statistics.ts";
import { type ErrorType, LEVELS } from "../../shared/taxonomy/taxonomy.ts";
import type { Lesson } from "../store/completions.ts";
import type { ScoredPair } from "../store/reports.ts";
import type { Statistics } from "../store/statistics.ts";
import type { Outlook } from "./fates.ts";

/**
 * What a round's scores teach about regions and difficulties, and how these stand then.
 * @param drift see `afterRound`
 */
export function learn(
  { regions, difficulties }: Pick<Statistics, "regions" | "difficulties">,
  scored: readonly ScoredPair[],
  policy: PolicyDocument,
  drift?: number,
): { readonly lesson: Lesson; readonly outlook: Outlook } {
  const after = afterRound(regions, difficulties, scored, policy, drift);
  const before = new Map(regions.map((region) => [region.key, region]));
  const lesson = {
    regions: after.regions.map(({ levels: _, roundWatch, scored: measured, ...region }) => ({
      ...region,
      roundWatch: JSON.stringify(roundWatch),
      scored: measured - (before.get(region.key)?.scored ?? 0),
    })),
    faded: after.regions.flatMap(({ key, levels }) =>
      LEVELS.flatMap((level, index) => {
        const [was, is] = [before.get(key)?.levels[index], levels[index]];
        if (!was || !is || was.attempted === 0) return [];
        return [{ region: key, level, attempted: was.attempted - is.attempted, refused: was.refused - is.refused }];
      }),
    ),
    difficulties: movesOf(difficulties, after.difficulties),
  };
  const known = after.regions.flatMap((region) => {
    const was = before.get(region.key);
    if (!was) return [];
    const { task, errorType, failures, exposures } = was;
    return [{ ...region, task, errorType, failures, exposures }];
  });
  return { lesson, outlook: { regions: known, difficulties: after.difficulties } };
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
