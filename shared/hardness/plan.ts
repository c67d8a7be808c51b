import { LEVELS, type Level } from "../taxonomy/taxonomy.ts";
import { sigmoid } from "./ability.ts";
import { type Allocation, allocate, type Ledger } from "./allocation.ts";
import { appraise, type Bidder, biddersOf, type Choice, openLevels, seeRegions } from "./bidders.ts";
import { sentenceOf } from "./sentence.ts";
import type { LineKind, Plan, PlanInputs, PlanLine } from "./state.ts";
import { nextPairValue } from "./value.ts";

/** Standard deviations either side of a 90 % interval. */
const INTERVAL_DEVIATIONS = 1.645;

/**
 * Spreads the tick's budget over the regions. A pure function of its inputs, whatever their order: regions are taken by
 * key, ties are broken by key, and every number of the plan is rounded, so that the same inputs give the same bytes.
 */
export function makePlan(inputs: PlanInputs): Plan {
  const bidders = biddersOf(inputs);
  return planOf(inputs, bidders, allocate(bidders, inputs));
}

/** The plan that an allocation amounts to. */
export function planOf(inputs: PlanInputs, bidders: readonly Bidder[], allocation: Allocation): Plan {
  const { ledger, stopped } = allocation;
  const served = bidders.filter(({ place }) => ledger.given(place) > 0);
  const rankOf = ranking(bidders, allocation);
  const lines = served.flatMap((bidder) => linesOf(bidder, inputs, allocation, rankOf(bidder)));
  // Stable: regions of one rank stay in the order of their keys.
  lines.sort((a, b) => a.rank - b.rank);
  const total = (amountOf: (bidder: Bidder) => number) =>
    served.reduce((sum, bidder) => sum + amountOf(bidder) * ledger.given(bidder.place), 0);
  return {
    lines,
    planned: total(() => 1),
    budget: inputs.policy.budgetPairs,
    expected: { tokens: total(({ tokens }) => tokens), micros: total(({ micros }) => micros) },
    stopped,
  };
}

/** What a region is worth, whether it can get pairs or not. */
export interface RegionValue {
  readonly key: string;
  /** Worth of the first pair at its best open level, before what is planned and ready; not below 0. */
  readonly value: number;
  /** Accuracy at levels 1 to 4. */
  readonly predicted: readonly [number, number, number, number];
}

/** The worth of all regions, in the order of their keys. */
export function valuesOf(inputs: PlanInputs): RegionValue[] {
  return seeRegions(inputs).map((seen) => {
    const levels = LEVELS.map((level) => appraise(seen, level, inputs));
    const open = openLevels(seen.region, true);
    const best = levels.reduce(
      (most, { level, perFailure }) => (open & (1 << level) ? Math.max(most, perFailure) : most),
      0,
    );
    const predicted = levels.map((level) => level.predicted) as unknown as RegionValue["predicted"];
    return { key: seen.region.key, value: seen.failureMass * best, predicted };
  });
}

/** The rank of a bidder among those of its strategy, by what it bids for its first pair; equal bids have one rank. */
function ranking(bidders: readonly Bidder[], { ledger }: Allocation): (bidder: Bidder) => number {
  const bids = { value: new Float64Array(bidders.length), staircase: new Float64Array(bidders.length) };
  const count = { value: 0, staircase: 0 };
  for (const bidder of bidders) {
    const strategy = bidder.onStaircase ? "staircase" : "value";
    bids[strategy][count[strategy]++] = ledger.worthAfter(bidder, 0, 0);
  }
  const rising = {
    value: bids.value.subarray(0, count.value).sort(),
    staircase: bids.staircase.subarray(0, count.staircase).sort(),
  };
  return (bidder) => {
    const rivals = bidder.onStaircase ? rising.staircase : rising.value;
    return rivals.length - placeAfter(rivals, ledger.worthAfter(bidder, 0, 0)) + 1;
  };
}

/** How many of rising numbers are not above `x`. */
function placeAfter(rising: Float64Array, x: number): number {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rising[middle] ?? 0) <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Pairs of one level, and how many the region got before them. */
interface Batch {
  readonly level: Level;
  readonly kind: LineKind;
  readonly from: number;
  pairs: number;
}

/** One line per level: probes join the pairs of their level. */
function linesOf(bidder: Bidder, inputs: PlanInputs, allocation: Allocation, rank: number): PlanLine[] {
  const { ledger } = allocation;
  const [probes, main] = [ledger.probes[bidder.place] ?? 0, ledger.main[bidder.place] ?? 0];
  const kind = bidder.onStaircase ? "staircase" : inputs.policy.allocation;
  const probed = split(bidder.probe, probes, bidder.region.ownAnswers, { kind: "floor", from: 0 });
  const ownUsed = probed.reduce((sum, { level, pairs }) => sum + (level === 4 ? pairs : 0), 0);
  const ordered = split(bidder.main, main, bidder.region.ownAnswers - ownUsed, { kind, from: probes });
  const batches = ordered.map((batch) => {
    const same = probed.find(({ level }) => level === batch.level);
    return same ? { ...batch, from: same.from, pairs: batch.pairs + same.pairs } : batch;
  });
  const alone = probed.filter(({ level }) => !ordered.some((batch) => batch.level === level));
  return [...batches, ...alone]
    .sort((a, b) => a.level - b.level)
    .map((batch) => lineOf(bidder, batch, inputs, allocation, rank));
}

/** Pairs at the levels of a choice: the model's own answers first, as many as there are. */
function split(
  { first, next }: Choice,
  pairs: number,
  own: number,
  { kind, from }: Pick<Batch, "kind" | "from">,
): Batch[] {
  const atFirst = next === null ? pairs : Math.min(pairs, own);
  const batches: Batch[] = [{ level: first, kind, from, pairs: atFirst }];
  if (next !== null) batches.push({ level: next, kind, from: from + atFirst, pairs: pairs - atFirst });
  return batches.filter((batch) => batch.pairs > 0);
}

function lineOf(bidder: Bidder, batch: Batch, inputs: PlanInputs, { ledger }: Allocation, rank: number): PlanLine {
  const { region, ability, failureMass } = bidder;
  const appraisal = appraise(bidder, batch.level, inputs);
  const spread = INTERVAL_DEVIATIONS * Math.sqrt(ability.variance);
  const at = (deviation: number) => rounded(sigmoid(ability.mean + deviation - appraisal.difficulty));
  const given = ledger.given(bidder.place);
  const [entry, stop] = worths(bidder, batch, failureMass * appraisal.perFailure, inputs, ledger);
  const line = {
    region: region.key,
    level: batch.level,
    pairs: batch.pairs,
    kind: batch.kind,
    rank,
    predicted: rounded(appraisal.predicted),
    interval: [at(-spread), at(spread)],
    gain: rounded(appraisal.gain),
    failureMass: rounded(failureMass),
    refusalRate: rounded(appraisal.refusalRate),
    cost: rounded(bidder.cost),
    valueAtEntry: rounded(entry),
    valueAtStop: rounded(stop),
    capped: given === ledger.cap,
    alarms: region.alarms,
  } as const;
  return { ...line, sentence: sentenceOf(line, region) };
}

/**
 * Worth of the first pair of a batch and of the next after all. For batches that were bid for it is what the region bid, else what a
 * pair of the level is worth.
 */
function worths(
  bidder: Bidder,
  { kind, from }: Batch,
  value: number,
  { policy }: PlanInputs,
  ledger: Ledger,
): [number, number] {
  const { place, region, cost } = bidder;
  if (kind === "floor" || kind === "uniform") {
    const after = (pairs: number) => nextPairValue(value, pairs + region.backlog, cost, policy);
    return [after(from), after(ledger.given(place))];
  }
  const probes = Math.min(from, ledger.probes[place] ?? 0);
  return [ledger.worthAfter(bidder, probes, from - probes), ledger.worth(bidder)];
}

/** Six decimals: below what differs between two machines' exponentials. */
function rounded(x: number): number {
  return Math.round(x * 1e6) / 1e6;
}
