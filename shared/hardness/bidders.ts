import type { SchedulerPolicy } from "../contracts/policy.ts";
import { LEVELS, type Level } from "../taxonomy/taxonomy.ts";
import { type Ability, clamp, difficultiesOf, levelOf, readAbilities, sigmoid } from "./ability.ts";
import { byKey } from "./canonical.ts";
import { Groups } from "./groups.ts";
import { believed, foretoldMass, reportOffset } from "./reports.ts";
import { staircaseOf } from "./staircase.ts";
import type { PlanInputs, RegionState } from "./state.ts";
import { endOfTick } from "./statistics.ts";
import { editValue, gainOf, refusalRate, survivingNoise } from "./value.ts";

/** Relative cost is held to this range: one odd bill must not decide a plan. */
const LEAST_COST = 0.1;
const MOST_COST = 10;
/** The level of the model's own wrong answers, of which there are only so many. */
const OWN_LEVEL = 4;

/** A level to order pairs at, and the one that follows when the model's own answers have run out. */
export interface Choice {
  readonly first: Level;
  readonly next: Level | null;
}

/** A region as a plan sees it: the reports since the last tick counted in, its ability read. */
export interface Seen {
  readonly region: RegionState;
  readonly ability: Ability;
  readonly failureMass: number;
}

/** A region that can get pairs. */
export interface Bidder extends Seen {
  /** Its place among the bidders, which come in the order of their keys: ties are broken by it. */
  readonly place: number;
  readonly onStaircase: boolean;
  /** Bidders with one pool draw on the same sources. */
  readonly pool: number;
  /** Pairs that it can get at most, as far as its pool allows. */
  readonly supply: number;
  /** Relative to the mean region. */
  readonly cost: number;
  /** What a pair is expected to cost: whole tokens and micro-units. */
  readonly tokens: number;
  readonly micros: number;
  /** At which levels its pairs and its probes are ordered. */
  readonly main: Choice;
  readonly probe: Choice;
  /**
   * What it bids with, the best levels as if no alarm held it: worth of the first pair at `bid.first`, and at `bid.next`. An alarm
   * changes the level at which a region gets pairs, never how many. The staircase bids the failure mass, whatever the level.
   */
  readonly bid: Choice;
  readonly firstValue: number;
  readonly nextValue: number;
  /** Whether its probes, too, would use up the model's own answers. */
  readonly probesOwn: boolean;
}

/** What a level of a region promises. */
export interface Appraisal {
  readonly level: Level;
  /** Logits. */
  readonly difficulty: number;
  readonly predicted: number;
  readonly gain: number;
  readonly refusalRate: number;
  /** Share of wrong edits among the accepted. */
  readonly noise: number;
  /** Worth of a pair per failure. */
  readonly perFailure: number;
}

export function appraise(
  { region, ability }: Pick<Seen, "region" | "ability">,
  level: Level,
  { difficulties, policy }: Pick<PlanInputs, "difficulties" | "policy">,
): Appraisal {
  const difficulty = levelOf(difficultiesOf(difficulties, region.errorType), level);
  const predicted = sigmoid(ability.mean - difficulty);
  const gain = gainOf(predicted, policy);
  const refused = refusalRate(levelOf(region.levels, level), level, policy);
  const noise = survivingNoise(refused, policy);
  const perFailure = editValue(refused, noise, gain, policy);
  return { level, difficulty, predicted, gain, refusalRate: refused, noise, perFailure };
}

/** All regions in the order of their keys. */
export function seeRegions({ regions, policy }: Pick<PlanInputs, "regions" | "policy">): Seen[] {
  const ordered = byKey(regions);
  const offset = reportOffset(ordered);
  const abilities = readAbilities(ordered.map((region) => believed(region, offset)));
  return ordered.map((region, i) => {
    const ability = abilities[i] as Ability;
    const failureMass = endOfTick(region, policy).failureMass + foretoldMass(region, ability, offset, policy);
    return { region, ability, failureMass };
  });
}

/** The regions that have something to edit, in the order of their keys. */
export function biddersOf(inputs: PlanInputs): Bidder[] {
  const { policy } = inputs;
  const seenRegions = seeRegions(inputs);
  const isOnStaircase = staircaseOf(policy.staircase);
  const regions = seenRegions.map(({ region }) => region);
  const pools = new Groups(regions);
  const bill = billing(regions);
  const perFailure = new Float64Array(LEVELS.length + 1);
  const nearness = new Float64Array(LEVELS.length + 1);
  const bidders: Bidder[] = [];
  for (let i = 0; i < seenRegions.length; i++) {
    const seen = seenRegions[i] as Seen;
    const { region, failureMass } = seen;
    const free = openLevels(region, true);
    const supply = supplyOf(region, free);
    if (supply <= 0) continue;
    const difficulties = difficultiesOf(inputs.difficulties, region.errorType);
    for (const level of region.offered) {
      if ((free & (1 << level)) === 0) continue;
      const predicted = sigmoid(seen.ability.mean - levelOf(difficulties, level));
      const refused = refusalRate(levelOf(region.levels, level), level, policy);
      perFailure[level] = editValue(refused, survivingNoise(refused, policy), gainOf(predicted, policy), policy);
      nearness[level] = -Math.abs(predicted - policy.floorTarget);
    }
    const onStaircase = isOnStaircase(region.key);
    const held = isHeld(region, policy);
    const open = held ? openLevels(region, false) : free;
    const bid = choose(free, perFailure);
    const nearest = choose(open, nearness);
    const stairs = onStaircase ? choose(upTo(open, region.stairLevel), RISING) : null;
    const { cost, tokens, micros } = bill(region);
    // Member by member: spreading objects costs a tick of many regions half its time.
    bidders.push({
      region,
      ability: seen.ability,
      failureMass,
      place: bidders.length,
      onStaircase,
      pool: pools.numbers[i] ?? 0,
      supply,
      cost,
      tokens,
      micros,
      main: stairs ?? (policy.allocation === "uniform" ? nearest : held ? choose(open, perFailure) : bid),
      probe: stairs ?? nearest,
      bid: onStaircase ? ANY_LEVEL : bid,
      firstValue: onStaircase ? failureMass : failureMass * (perFailure[bid.first] ?? 0),
      nextValue: onStaircase || bid.next === null ? 0 : failureMass * (perFailure[bid.next] ?? 0),
      probesOwn: (held ? choose(free, nearness) : nearest).first === OWN_LEVEL,
    });
  }
  return bidders;
}

/** While an alarm is on, or the chosen answers lose probability, a level may not rise. */
export function isHeld({ alarms, chosenLogRatio }: RegionState, policy: SchedulerPolicy): boolean {
  return alarms.length > 0 || chosenLogRatio < policy.chosenLogRatioAlarm;
}

/** Levels as bits: 1 << level. */
type LevelSet = number;

/**
 * The levels that are offered, up to the last plan's, or one step above it. A type all of whose levels lie higher keeps its
 * lowest. The model's own answers are no level where there are none.
 */
export function openLevels({ offered, level: last, ownAnswers }: RegionState, mayRise: boolean): LevelSet {
  let open = 0;
  let lowest = 0;
  let steps = mayRise ? 1 : 0;
  for (const level of offered) {
    if (level === OWN_LEVEL && ownAnswers === 0) continue;
    lowest ||= 1 << level;
    if (level <= last || steps-- > 0) open |= 1 << level;
  }
  return open || lowest;
}

function supplyOf({ editable, ownAnswers }: RegionState, open: LevelSet): number {
  if (open === 0) return 0;
  return open === 1 << OWN_LEVEL ? Math.min(editable, ownAnswers) : editable;
}

/** The levels up to a step of the stairs, or the lowest. */
function upTo(open: LevelSet, step: Level): LevelSet {
  return open & ((2 << step) - 1) || open & -open;
}

/** What the staircase bids with: failures, whatever the level. */
const ANY_LEVEL: Choice = { first: 1, next: null };
/** Scores that prefer the highest level. */
const RISING = Float64Array.of(0, 1, 2, 3, 4);
const CHOICES = [1, 2, 3, 4].map((first) => [null, 1, 2, 3].map((next) => ({ first, next }) as Choice));

/** The open level of the largest score, the lower of equal ones; and the best of the others, if that one can run out. */
function choose(open: LevelSet, scores: Float64Array): Choice {
  let [first, other] = [0, 0];
  for (let level = 1; level <= OWN_LEVEL; level++) {
    if ((open & (1 << level)) === 0) continue;
    const score = scores[level] ?? 0;
    if (first === 0 || score > (scores[first] ?? 0)) first = level;
    if (level !== OWN_LEVEL && (other === 0 || score > (scores[other] ?? 0))) other = level;
  }
  return CHOICES[first - 1]?.[first === OWN_LEVEL ? other : 0] as Choice;
}

type Bill = Pick<Bidder, "cost" | "tokens" | "micros">;

/** What a pair of a region costs: what its accepted pairs cost so far, where nothing was spent the mean of the others. Money decides where it is known. */
function billing(regions: readonly RegionState[]): (region: RegionState) => Bill {
  const meanTokens = meanOf(regions, ({ costTokens }) => costTokens);
  const meanMicros = meanOf(regions, ({ costMicros }) => costMicros);
  return ({ costTokens, costMicros }) => {
    const [own, mean] = meanMicros > 0 ? [costMicros, meanMicros] : [costTokens, meanTokens];
    return {
      cost: own > 0 ? clamp(own / mean, LEAST_COST, MOST_COST) : 1,
      tokens: Math.ceil(costTokens > 0 ? costTokens : meanTokens),
      micros: Math.ceil(costMicros > 0 ? costMicros : meanMicros),
    };
  };
}

/** Of the amounts above 0; 0 if there are none. */
function meanOf(regions: readonly RegionState[], amountOf: (region: RegionState) => number): number {
  let [sum, count] = [0, 0];
  for (const region of regions) {
    const amount = amountOf(region);
    if (amount <= 0) continue;
    sum += amount;
    count += 1;
  }
  return count === 0 ? 0 : sum / count;
}
