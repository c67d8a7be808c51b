import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { difficultiesOf, levelOf, readAbilities, sigmoid } from "../../shared/hardness/ability.ts";
import type { GapMoments } from "../../shared/hardness/flip.ts";
import { afterScorings, boundRechecks, type PairRegion, type Scoring } from "../../shared/hardness/life.ts";
import { believed, reportOffset } from "../../shared/hardness/reports.ts";
import type { Difficulties, RegionState } from "../../shared/hardness/state.ts";
import type { Fate } from "../store/completions.ts";
import { BASE_MODEL, type ScoredPair } from "../store/reports.ts";

/** What is known of the regions when a round ends. */
export interface Outlook {
  readonly regions: readonly (Pick<
    RegionState,
    "key" | "task" | "errorType" | "abilityMean" | "abilityVar" | "scored" | "failures" | "exposures"
  > &
    GapMoments)[];
  readonly difficulties: Difficulties;
}

export interface Outcome {
  readonly verdict: "promoted" | "rejected" | "inconclusive";
  /** Null: the base model. */
  readonly reference: string | null;
  /** Of a promoted round. */
  readonly adapter: string | null;
}

/** What becomes of the pairs that a round scored, each by its own scorings and what is known of its region. */
export function fatesOf(
  scored: readonly ScoredPair[],
  outcome: Outcome,
  outlook: Outlook,
  policy: Pick<PolicyDocument, "pairs" | "training">,
): Fate[] {
  const regionOf = regionsIn(outlook);
  const judged = scored.map((pair) => {
    const trained = outcome.verdict === "promoted" && pair.use === "train";
    const life = { ...pair, state: pair.home, trainings: pair.trainings + (trained ? 1 : 0) };
    const judgement = afterScorings(life, scoringsOf(pair, outcome), regionOf(pair), policy);
    return { ...judgement, id: pair.id, trained };
  });
  return boundRechecks(judged, policy.pairs).map(({ id, pair, move, trained }) => ({
    id,
    state: pair.state,
    reason: move?.reason ?? (trained && pair.state === "trained" ? `trained ${pair.trainings} times` : null),
    trainings: pair.trainings,
    highStreak: pair.highStreak,
    lowStreak: pair.lowStreak,
    gap: pair.gap,
    gapModel: pair.gapModel,
  }));
}

/** Under the reference, and under the adapter if that is the champion now. */
function scoringsOf(pair: ScoredPair, { verdict, reference, adapter }: Outcome): Scoring[] {
  const before = { model: reference ?? BASE_MODEL, gap: pair.chosenBefore - pair.rejectedBefore };
  if (verdict !== "promoted" || adapter === null) return [before];
  return [before, { model: adapter, gap: pair.chosenAfter - pair.rejectedAfter }];
}

function regionsIn({ regions, difficulties }: Outlook): (pair: ScoredPair) => PairRegion {
  const offset = reportOffset(regions);
  const abilities = readAbilities(regions.map((region) => believed(region, offset)));
  const known = new Map(regions.map((region, index) => [region.key, { region, mean: abilities[index]?.mean ?? 0 }]));
  return ({ region: key, level }) => {
    const found = known.get(key);
    // A region without a row can speak neither for nor against its pairs.
    if (!found) return { predicted: 0.5, gapMean: 0, gapSquare: 0 };
    const { region, mean } = found;
    const difficulty = levelOf(difficultiesOf(difficulties, region.errorType), level);
    return { predicted: sigmoid(mean - difficulty), gapMean: region.gapMean, gapSquare: region.gapSquare };
  };
}
