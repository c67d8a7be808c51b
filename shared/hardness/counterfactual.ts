import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";
import { levelOf, sigmoid } from "./ability.ts";
import { allocate, type Ledger } from "./allocation.ts";
import { appraise, type Bidder } from "./bidders.ts";
import type { PlanInputs } from "./state.ts";
import { editValue, gainOf, nextPairValue, survivingNoise } from "./value.ts";

/** Halvings of an interval of accuracies: beyond what anybody reads. */
const HALVINGS = 40;
/** Logits that an ability is moved by in search of another level, as far as accuracies are not all but 0 or 1. */
const ABILITY_STEP = 0.02;
const ALL_BUT = 0.02;

/** What the rivals of each region bid for the last pairs that they got: who bids more takes them. */
export class Prices {
  /** The two least by strategy, so that there is one for the region of the least, too. */
  readonly #least: Record<"value" | "staircase", { place: number; bid: number }[]> = { value: [], staircase: [] };

  constructor(bidders: readonly Bidder[], ledger: Ledger) {
    for (const { place, onStaircase } of bidders) {
      const bid = ledger.lastBids[place] ?? 0;
      if (bid <= 0) continue;
      const least = this.#least[onStaircase ? "staircase" : "value"];
      if (least.length === 2 && bid >= (least[1]?.bid ?? 0)) continue;
      least.push({ place, bid });
      least.sort((a, b) => a.bid - b.bid);
      least.splice(2);
    }
  }

  /** Null where no other region of its strategy was given pairs for a bid. */
  for({ place, onStaircase }: Bidder): number | null {
    return this.#least[onStaircase ? "staircase" : "value"].find((one) => one.place !== place)?.bid ?? null;
  }
}

/** The failure mass above which the region's next pair outbids the price. */
export function massToOutbid(bidder: Bidder, price: number, ledger: Ledger): number {
  return (bidder.failureMass * price) / ledger.worth(bidder);
}

/** How many more failures, reported in one tick, bring that mass; null if none do. */
export function failuresToReach(bidder: Bidder, mass: number, { decay }: SchedulerPolicy): number | null {
  if (decay === 1) return null;
  return Math.max(1, Math.floor((mass - bidder.failureMass) / (1 - decay)) + 1);
}

/**
 * The accuracies between which the region's first pair at a level bids more than others would take it for, were it left out; null
 * for a side without a limit. The price falls when a region leaves, so the budget is spread once more without it.
 */
export function accuracyWindow(
  bidder: Bidder,
  level: Level,
  inputs: PlanInputs,
  bidders: readonly Bidder[],
  ledger: Ledger,
): { readonly above: number | null; readonly below: number | null } {
  const probes = ledger.probes[bidder.place] ?? 0;
  const without = bidders.map((one) => (one === bidder ? { ...one, supply: probes } : one));
  const left = allocate(without, inputs);
  const price = left.stopped === "budget" ? (new Prices(without, left.ledger).for(bidder) ?? 0) : 0;
  const { predicted, refusalRate, noise } = appraise(bidder, level, inputs);
  const wins = (accuracy: number) => {
    const value = bidder.failureMass * editValue(refusalRate, noise, gainOf(accuracy, inputs.policy), inputs.policy);
    return nextPairValue(value, probes + bidder.region.backlog, bidder.cost, inputs.policy) > price;
  };
  return { above: border(wins, predicted, 0), below: border(wins, predicted, 1) };
}

/** Where `wins` ends on the way from one accuracy to another; null if it holds at both or at none. */
function border(wins: (accuracy: number) => boolean, from: number, to: number): number | null {
  if (!wins(from) || wins(to)) return null;
  let [inside, outside] = [from, to];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (inside + outside) / 2;
    if (wins(middle)) inside = middle;
    else outside = middle;
  }
  return inside;
}

/**
 * The level that a region turns to when its ability rises (1) or falls (-1), as far as levels are open now, and the predicted
 * accuracy at its present level from which it does; null if it keeps its level.
 */
export function levelAfterChange(
  bidder: Bidder,
  open: readonly Level[],
  direction: 1 | -1,
  inputs: PlanInputs,
): { readonly level: Level; readonly predicted: number } | null {
  const { main, ability } = bidder;
  const difficulty = appraise(bidder, main.first, inputs).difficulty;
  for (let step = 1; ; step++) {
    const mean = ability.mean + direction * step * ABILITY_STEP;
    const predicted = sigmoid(mean - difficulty);
    if (!(direction === 1 ? predicted <= 1 - ALL_BUT : predicted >= ALL_BUT)) return null;
    const moved = { region: bidder.region, ability: { ...ability, mean } };
    const levels = open.map((level) => appraise(moved, level, inputs));
    const best = levels.reduce((most, one) => (one.perFailure > most.perFailure ? one : most));
    if (best.level !== main.first) return { level: best.level, predicted };
  }
}

/** The refusal rate at which noise costs as much as the gain at a level; null if none does. */
export function refusalLimit(bidder: Bidder, level: Level, inputs: PlanInputs): number | null {
  const { policy } = inputs;
  const gain = appraise(bidder, level, inputs).gain;
  const pays = (rate: number) => editValue(rate, survivingNoise(rate, policy), gain, policy) > 0;
  return border(pays, levelOf(policy.refusalPrior, level), 1);
}
