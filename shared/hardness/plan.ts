import { levelsOf } from "../edits/levels.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import { type Ability, clamp, difficultiesOf, levelOf, readAbilities, sigmoid } from "./ability.ts";
import { type Bidder, type Grant, giveByValue, giveFloor, giveUniform, Ledger, type Option } from "./allocation.ts";
import { sentenceOf } from "./sentence.ts";
import type { Plan, PlanInputs, PlanLine, RegionState } from "./state.ts";
import { endOfTick } from "./statistics.ts";
import { firstPairValue, gainOf, refusalRate, survivingNoise } from "./value.ts";

/** Standard deviations either side of a 90 % interval. */
const INTERVAL_DEVIATIONS = 1.645;
/** Relative cost is held to this range: one odd bill must not decide a plan. */
const COST_RANGE = [0.1, 10] as const;

/** A region as a plan sees it: the reports since the last tick counted in, its ability read, its cost set in relation. */
interface Seen {
  readonly region: RegionState;
  readonly failureMass: number;
  readonly ability: Ability;
  readonly bidder: Bidder;
}

/**
 * Spreads the tick's budget over the regions. A pure function of its inputs, whatever their order: regions are taken by
 * key, ties are broken by key, and every number of the plan is rounded, so that the same inputs give the same bytes.
 */
export function makePlan(inputs: PlanInputs): Plan {
  const { policy } = inputs;
  const seen = see(inputs);
  const bidders = seen.map((one) => one.bidder);
  const ledger = new Ledger(bidders, policy);
  if (policy.allocation === "uniform") giveUniform(bidders, ledger, policy);
  else {
    giveFloor(bidders, ledger, policy);
    giveByValue(bidders, ledger, policy);
  }
  const ranks = rank(bidders);
  const lines = ledger.grants
    .map((grant) => lineOf(grant, seen[grant.bidder.place] as Seen, ranks[grant.bidder.place] ?? 0, ledger))
    .sort((a, b) => a.rank - b.rank || a.level - b.level);
  return { lines, planned: policy.budgetPairs - ledger.left, budget: policy.budgetPairs };
}

/** The regions that have something to edit, in the order of their keys. */
function see(inputs: PlanInputs): Seen[] {
  const regions = [...inputs.regions].sort((a, b) => (a.key < b.key ? -1 : 1));
  const abilities = readAbilities(regions);
  const costs = regions.filter((r) => r.costTokens > 0).map((r) => r.costTokens);
  const meanCost = costs.reduce((sum, cost) => sum + cost, 0) / Math.max(1, costs.length);
  const seen: Seen[] = [];
  for (const [i, region] of regions.entries()) {
    const ability = abilities[i];
    if (region.editable <= 0 || !ability) continue;
    const { failureMass } = endOfTick(region, inputs.policy);
    const options = optionsOf(region, ability, failureMass, inputs);
    const bidder: Bidder = {
      place: seen.length,
      pool: `${region.task}/${region.language}/${region.modality}`,
      options,
      supply: region.editable,
      backlog: region.backlog,
      cost: region.costTokens > 0 ? clamp(region.costTokens / meanCost, ...COST_RANGE) : 1,
      plannedAt: region.plannedAt,
    };
    seen.push({ region, failureMass, ability, bidder });
  }
  return seen;
}

/** The levels open to a region, the best by value first. */
function optionsOf(
  region: RegionState,
  ability: Ability,
  failureMass: number,
  { difficulties, policy }: PlanInputs,
): Option[] {
  return openLevels(region, policy.chosenLogRatioAlarm)
    .map((level) => {
      const difficulty = levelOf(difficultiesOf(difficulties, region.errorType), level);
      const predicted = sigmoid(ability.mean - difficulty);
      const gain = gainOf(predicted);
      const refused = refusalRate(levelOf(region.levels, level), level, policy);
      const value = firstPairValue(failureMass, refused, survivingNoise(refused, policy), gain);
      return {
        level,
        difficulty,
        predicted,
        gain,
        refusalRate: refused,
        value,
        supply: level === 4 ? region.ownAnswers : region.editable,
      };
    })
    .sort((a, b) => b.value - a.value || a.level - b.level);
}

/**
 * The levels that mean something for the error type, up to one step above the last plan's, or none above it while the
 * chosen answers lose probability. A type all of whose levels lie higher keeps its lowest: an alarm never cuts a region off.
 */
function openLevels(region: RegionState, alarmBelow: number): Level[] {
  const levels = levelsOf(region.errorType);
  const open: Level[] = [];
  let steps = region.chosenLogRatio < alarmBelow ? 0 : 1;
  for (const level of levels) {
    if (level === 4 && region.ownAnswers === 0) continue;
    if (level <= region.level || steps-- > 0) open.push(level);
  }
  return open.length > 0 ? open : [levels[0]];
}

/** The rank of each bidder by the worth of its first pair, ties by place. */
function rank(bidders: readonly Bidder[]): Uint32Array {
  const worths = Float64Array.from(bidders, ({ options, cost }) => (options[0]?.value ?? 0) / cost);
  const worth = (place: number) => worths[place] ?? 0;
  const ordered = Uint32Array.from(bidders.keys()).sort((a, b) => worth(b) - worth(a) || a - b);
  const ranks = new Uint32Array(bidders.length);
  for (const [i, place] of ordered.entries()) ranks[place] = i + 1;
  return ranks;
}

function lineOf(grant: Grant, { region, failureMass, ability }: Seen, place: number, ledger: Ledger): PlanLine {
  const { bidder, option, pairs, kind } = grant;
  const spread = INTERVAL_DEVIATIONS * Math.sqrt(ability.variance);
  const at = (deviation: number) => rounded(sigmoid(ability.mean + deviation - option.difficulty));
  const line = {
    region: region.key,
    level: option.level,
    pairs,
    kind,
    rank: place,
    predicted: rounded(option.predicted),
    interval: [at(-spread), at(spread)],
    gain: rounded(option.gain),
    failureMass: rounded(failureMass),
    refusalRate: rounded(option.refusalRate),
    cost: rounded(bidder.cost),
    valueAtEntry: rounded(grant.valueAtEntry),
    valueAtStop: rounded(ledger.worth(bidder, option)),
    capped: ledger.given(bidder) === ledger.cap,
  } as const;
  return { ...line, sentence: sentenceOf(line, region) };
}

/** Six decimals: below what differs between two machines' exponentials. */
function rounded(x: number): number {
  return Math.round(x * 1e6) / 1e6;
}
