import { DEFAULT_POLICY, type PolicyDocument, type SchedulerPolicy } from "../../../contracts/policy.ts";
import { LEVELS } from "../../../taxonomy/taxonomy.ts";
import { alarmsOf, type RateWatch, type RoundWatch, readRateWatch, readRoundWatch, watchRate } from "../../alarms.ts";
import { makePlan } from "../../plan.ts";
import type { Difficulties, LevelState, PlanLine, RegionState } from "../../state.ts";
import { afterRound, COST_WEIGHT, endOfTick, type PairScore } from "../../statistics.ts";
import { CHUNK_PAIRS, SCALE_PAIRS } from "../arms.ts";
import type { Policy, PolicyKind } from "../policy.ts";
import type { Order, Outcome, Reports, Size } from "../world.ts";

/** Tokens of an edit of level 1 in a region of average cost. */
const TOKENS_PER_EDIT = 1_000;
/** Sources never run out here. */
const PLENTY = 1_000_000;
/** Weight of the newest round in the moving average of what an edit costs. */
const PRICE_WEIGHT = 0.3;
const UNLIMITED = { tokens: null, micros: null };

/** What the Worker keeps of a region. */
type Row = RegionState & {
  readonly gapMean: number;
  readonly gapSquare: number;
  readonly rateWatch: RateWatch;
  readonly roundWatch: RoundWatch;
};

/** What follows from a budget of hundreds of pairs instead of thousands. */
const SCALED = { backlogScalePairs: SCALE_PAIRS, chunkPairs: CHUNK_PAIRS } as const;

/** This design: the product as it comes. */
export const thisDesign = production("this design", {});
/** The product where an operator put every region on the staircase: the same steps, spread by failure mass alone. */
export const productStaircase = production("staircase of the product", { staircase: ["*/*/*/*"], floorShare: 0 });

/** The product's own code under a policy. */
export function production(name: string, changes: Partial<SchedulerPolicy>): PolicyKind {
  const scheduler = { ...DEFAULT_POLICY.scheduler, ...SCALED, ...changes };
  return { name, create: (size) => new Production(size, { ...DEFAULT_POLICY, scheduler }) };
}

/**
 * Feeds the product's functions as the Worker does: a tick counts reports, reads alarms, plans, and remembers levels; edits count
 * refusals and costs; a round moves abilities. Every pair is trained on in its round, so that none is ever ready and waiting. The
 * simulated operator orders as many pairs as the budget paid for at the price of the rounds before.
 */
class Production implements Policy {
  expected: NonNullable<Policy["expected"]> = [];
  readonly #budget: number;
  readonly #policy: PolicyDocument;
  #rows: Row[];
  #difficulties: Difficulties = {};
  #tick = 0;
  /** Mean cost of an edit. */
  #price = 1;

  constructor({ tasks, errors, budget }: Size, policy: PolicyDocument) {
    this.#budget = budget;
    this.#policy = policy;
    this.#rows = Array.from({ length: tasks * errors }, (_, r) => newRow(r, errors));
  }

  plan(reports: Reports): Order[] {
    const at = ++this.#tick;
    const policy = { ...this.#policy.scheduler, budgetPairs: Math.floor(this.#budget / this.#price) };
    const rows = this.#rows.map((row, r) => this.#reported(row, reports, r));
    const plan = makePlan({ at, seed: at, policy, funds: UNLIMITED, regions: rows, difficulties: this.#difficulties });
    const probesFirst = [...plan.lines].sort((a, b) => Number(b.kind === "floor") - Number(a.kind === "floor"));
    const levels = new Map(probesFirst.map(({ region, level }) => [region, level]));
    this.#rows = rows.map((row) => {
      const counted = { ...row, ...endOfTick(row, policy), newFailures: 0, newExposures: 0 };
      const level = levels.get(row.key);
      return level ? { ...counted, level, plannedAt: at } : counted;
    });
    this.expected = plan.lines.map((line) => ({ ...orderOf(line), predicted: line.predicted }));
    return [...this.expected];
  }

  #reported(row: Row, { failures, exposures }: Reports, r: number): Row {
    const tick = { failures: failures[r] as number, exposures: exposures[r] as number };
    const rateWatch = watchRate(row.rateWatch, tick, this.#policy.alarms);
    const alarms = alarmsOf({ ...row, rateWatch }, this.#policy);
    return { ...row, rateWatch, alarms, newFailures: tick.failures, newExposures: tick.exposures };
  }

  learn(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      this.#rows[outcome.region] = edited(this.#rows[outcome.region] as Row, outcome);
    }
    const [spent, edits] = [sum(outcomes, "spent"), sum(outcomes, "attempted")];
    const weight = this.#tick === 1 ? 1 : PRICE_WEIGHT;
    if (edits > 0) this.#price += weight * (spent / edits - this.#price);
    const scores = outcomes.flatMap(scoresOf);
    const { regions, difficulties } = afterRound(this.#rows, this.#difficulties, scores, this.#policy);
    this.#difficulties = difficulties;
    const after = new Map(regions.map((region) => [region.key, region]));
    this.#rows = this.#rows.map((row) => ({ ...row, ...after.get(row.key) }));
  }
}

function sum(outcomes: readonly Outcome[], part: "spent" | "attempted"): number {
  return outcomes.reduce((total, outcome) => total + outcome[part], 0);
}

/** Keys sort as the regions are numbered. */
function newRow(r: number, errors: number): Row {
  const two = (n: number) => String(n).padStart(2, "0");
  const untried = { attempted: 0, refused: 0 };
  return {
    key: keyOf(r),
    task: `task${two(Math.floor(r / errors))}`,
    errorType: `error${two(r % errors)}`,
    language: "en",
    modality: "image",
    failures: 0,
    exposures: 0,
    failureMass: 0,
    newFailures: 0,
    newExposures: 0,
    abilityMean: 0,
    abilityVar: 1,
    level: 2,
    stairLevel: 2,
    costTokens: 0,
    costMicros: 0,
    chosenLogRatio: 0,
    backlog: 0,
    scored: 0,
    plannedAt: null,
    editable: PLENTY,
    ownAnswers: PLENTY,
    offered: LEVELS,
    alarms: [],
    levels: [untried, untried, untried, untried],
    gapMean: 0,
    gapSquare: 0,
    rateWatch: readRateWatch("{}"),
    roundWatch: readRoundWatch("{}"),
  };
}

function keyOf(r: number): string {
  return `region/${String(r).padStart(4, "0")}/en/image`;
}

function orderOf({ region, level, pairs }: PlanLine): Order {
  return { region: Number(region.split("/")[1]), level: level - 1, pairs };
}

/** The row with an order's edits counted, as the editor's writer does. */
function edited(row: Row, { level, attempted, refused, spent }: Outcome): Row {
  const accepted = attempted - refused;
  const levels = [...row.levels] as [LevelState, LevelState, LevelState, LevelState];
  const counts = levels[level] as LevelState;
  levels[level] = { attempted: counts.attempted + attempted, refused: counts.refused + refused };
  if (accepted === 0) return { ...row, levels };
  const tokens = (TOKENS_PER_EDIT * spent) / accepted;
  const costTokens = row.costTokens === 0 ? tokens : row.costTokens + COST_WEIGHT * (tokens - row.costTokens);
  return { ...row, levels, costTokens };
}

/** Scores that say no more than which answer was preferred. */
function scoresOf({ region, level, attempted, refused, right }: Outcome): PairScore[] {
  const same = { region: keyOf(region), level: LEVELS[level] as (typeof LEVELS)[number], fresh: true };
  return Array.from({ length: attempted - refused }, (_, i) => {
    const chosenBefore = i < right ? -1 : -2;
    return {
      ...same,
      chosenBefore,
      chosenAfter: chosenBefore,
      rejectedBefore: -1.5,
      chosenTokens: 1,
      rejectedTokens: 1,
    };
  });
}
