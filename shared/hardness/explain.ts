import { LEVELS, type Level } from "../taxonomy/taxonomy.ts";
import { type Allocation, allocate } from "./allocation.ts";
import { appraise, type Bidder, biddersOf, isHeld, openLevels, type Seen, seeRegions } from "./bidders.ts";
import {
  accuracyWindow,
  failuresToReach,
  levelAfterChange,
  massToOutbid,
  Prices,
  refusalLimit,
} from "./counterfactual.ts";
import { makePlan } from "./plan.ts";
import { countOf, nameOfRegion } from "./sentence.ts";
import type { Plan, PlanInputs, PlanLine, RegionState } from "./state.ts";

export interface Explanation {
  readonly region: string;
  readonly pairs: number;
  readonly lines: readonly PlanLine[];
  /** Sentences: what decided. */
  readonly why: readonly string[];
  /** Sentences: what would have to change for it to get more, fewer, or another level. */
  readonly otherwise: readonly string[];
}

/** A plan with all that was weighed for it. */
interface Scene extends Allocation {
  readonly inputs: PlanInputs;
  readonly bidders: readonly Bidder[];
  readonly prices: Prices;
  readonly lines: ReadonlyMap<string, readonly PlanLine[]>;
}

/**
 * Why a plan is as it is, and what would have to change: of all regions that got pairs, the most first, or of the one that is asked
 * for, for which the plan is made again under other circumstances. Every number comes from the functions that made the plan.
 * @param plan what `makePlan` makes of the inputs
 */
export function explainPlan(
  inputs: PlanInputs,
  plan: Plan,
  region?: string,
): { summary: string[]; regions: Explanation[] } {
  const bidders = biddersOf(inputs);
  const allocation = allocate(bidders, inputs);
  const lines = Map.groupBy(plan.lines, (line) => line.region);
  const scene: Scene = { ...allocation, inputs, bidders, prices: new Prices(bidders, allocation.ledger), lines };
  const summary = summaryOf(scene, plan);
  const byKey = new Map(bidders.map((bidder) => [bidder.region.key, bidder]));
  if (region !== undefined) {
    const seen = seeRegions(inputs).find((one) => one.region.key === region);
    return { summary, regions: seen ? [explained(seen, byKey.get(region), plan, scene, true)] : [] };
  }
  const served = [...lines.keys()].flatMap((key) => byKey.get(key) ?? []);
  const regions = served.map((bidder) => explained(bidder, bidder, plan, scene, false));
  regions.sort((a, b) => b.pairs - a.pairs || (a.region < b.region ? -1 : 1));
  return { summary, regions };
}

const STOPPED: Readonly<Record<Plan["stopped"], string>> = {
  budget: "That is the whole budget.",
  tokens: "No more: the next pair would cost more tokens than are left today.",
  money: "No more: the next pair would cost more money than is left today.",
  cap: "No more: every region that is worth a pair and has sources has the most that one region may get.",
  supply: "No more: the regions that are worth a pair have no more sources.",
  "no value left": "No more: another pair would teach nothing, or noise would cost more than it teaches.",
};

function summaryOf({ inputs, bidders, ledger }: Scene, { lines, planned, budget, stopped, expected }: Plan): string[] {
  const probed = bidders.filter(({ place }) => (ledger.probes[place] ?? 0) > 0);
  const probes = probed.reduce((sum, { place }) => sum + (ledger.probes[place] ?? 0), 0);
  const bids = bidders.map(({ place }) => ledger.lastBids[place] ?? 0).filter((bid) => bid > 0);
  const stairs = bidders.filter(({ onStaircase, place }) => onStaircase && ledger.given(place) > 0);
  const onStairs = stairs.reduce((sum, { place }) => sum + (ledger.main[place] ?? 0), 0);
  const held = inputs.regions.filter((region) => isHeld(region, inputs.policy)).length;
  const idle = inputs.regions.length - bidders.length;
  const regions = new Set(lines.map((line) => line.region)).size;
  return [
    `${planned} of ${budget} pairs are planned, for ${regions} of ${countOf(inputs.regions.length, "region")}. ${STOPPED[stopped]}`,
    `${countOf(probes, "pair")} of them probe ${countOf(probed.length, "region")} that waited longest.`,
    ...(stairs.length > 0
      ? [`The staircase steers ${countOf(stairs.length, "region")}, which get ${countOf(onStairs, "pair")}.`]
      : []),
    ...(bids.length > 0 ? [`The last pairs went for bids of ${three(bids.reduce((a, b) => Math.min(a, b)))}.`] : []),
    `They are expected to cost ${countOf(expected.tokens, "token")} and ${countOf(expected.micros, "micro-unit")}.`,
    ...(held > 0 ? [`${countOf(held, "region")} may not rise in level: an alarm is on.`] : []),
    ...(idle > 0 ? [`${countOf(idle, "region")} have no sources to edit.`] : []),
  ];
}

function explained(seen: Seen, bidder: Bidder | undefined, plan: Plan, scene: Scene, deeply: boolean): Explanation {
  const { region } = seen;
  const lines = scene.lines.get(region.key) ?? [];
  const pairs = lines.reduce((sum, line) => sum + line.pairs, 0);
  const name = nameOfRegion(region);
  if (!bidder) {
    return {
      region: region.key,
      pairs,
      lines,
      why: [`${name} gets no pairs: it has nothing to edit.`],
      otherwise: [sourcesFor(region)],
    };
  }
  const why = [
    ...(lines.length > 0 ? lines.map(({ sentence }) => sentence) : [`${name} gets no pairs.`]),
    ...bidding(bidder, scene),
    ...levels(bidder, scene),
  ];
  const otherwise = [...more(bidder, scene), ...otherLevels(bidder, scene)];
  if (deeply) otherwise.push(...less(bidder, scene), ...turn(bidder, scene), ...elsewhere(bidder, plan, scene));
  return { region: region.key, pairs, lines, why, otherwise };
}

function sourcesFor({ task, language, modality, offered, editable }: RegionState): string {
  const kind = `${task} / ${language} / ${modality}`;
  if (editable <= 0)
    return `It would get pairs once there are sources of ${kind}: failures or imports with a right answer.`;
  if (offered.length === 0) return "No level of its error type can be made by an edit.";
  return `It would get pairs once the model itself gave wrong answers of this type in ${kind}: its error type has no other level.`;
}

/** What it bid, and against whom. */
function bidding(bidder: Bidder, { inputs, ledger, prices }: Scene): string[] {
  if (inputs.policy.allocation === "uniform" && !bidder.onStaircase) return [];
  const probes = ledger.probes[bidder.place] ?? 0;
  const first = ledger.worthAfter(bidder, probes, 0);
  if (first <= 0)
    return ["It bids nothing: what noise costs outweighs what a pair would teach, so only the floor reaches it."];
  const price = prices.for(bidder);
  const rivals = price === null ? "no other region bid" : `other regions got their last pairs for ${three(price)}`;
  const next = (ledger.main[bidder.place] ?? 0) > 0 ? ` and bids ${three(ledger.worth(bidder))} for the next` : "";
  const backlog = bidder.region.backlog > 0 ? ` with ${countOf(bidder.region.backlog, "pair")} ready already` : "";
  return [`It bid ${three(first)} for a pair${backlog}${next}; ${rivals}.`];
}

/** Why its level is what it is. */
function levels(bidder: Bidder, { inputs }: Scene): string[] {
  const { region, main, onStaircase } = bidder;
  if (onStaircase) return [`The staircase stands at level ${region.stairLevel}.`];
  if (inputs.policy.allocation === "uniform")
    return [`Level ${main.first} is nearest a predicted accuracy of ${inputs.policy.floorTarget}.`];
  const open = levelsIn(openLevels(region, !isHeld(region, inputs.policy)));
  const worth = open.map((level) => `${three(appraise(bidder, level, inputs).perFailure)} at level ${level}`);
  return [`Per failure, an edit is worth ${worth.join(", ")}.`];
}

/** What would give it more pairs. */
function more(bidder: Bidder, { inputs, ledger, prices, stopped }: Scene): string[] {
  const { policy, funds } = inputs;
  const given = ledger.given(bidder.place);
  if (given >= bidder.supply)
    return [`It would need more sources: its ${countOf(bidder.supply, "pair")} are all that these give.`];
  if (given >= ledger.cap)
    return [`More than ${countOf(ledger.cap, "pair")} would take a capShare above ${policy.capShare}.`];
  if (ledger.room(bidder) <= 0)
    return ["The sources that it shares with other regions are used up: it would need more of them."];
  if (stopped === "tokens")
    return [`It would need more than the ${funds.tokens} tokens that are left: a pair takes ${bidder.tokens}.`];
  if (stopped === "money")
    return [`It would need more than the ${funds.micros} micro-units that are left: a pair takes ${bidder.micros}.`];
  if (policy.allocation === "uniform" && !bidder.onStaircase)
    return ["More for every region would take a larger budgetPairs."];
  if (ledger.worth(bidder) <= 0) return refusals(bidder, inputs);
  const price = prices.for(bidder);
  if (price === null) return ["More would take a larger budgetPairs: no other region bids against it."];
  const mass = massToOutbid(bidder, price, ledger);
  const failures = failuresToReach(bidder, mass, policy);
  const how = failures === null ? "" : `, which ${countOf(failures, "more failure")} in a tick would bring,`;
  return [
    `A failure mass above ${three(mass)}${how} would give it ${given > 0 ? "more" : "pairs"}; it is ${three(bidder.failureMass)}.`,
  ];
}

function refusals(bidder: Bidder, inputs: PlanInputs): string[] {
  const limit = refusalLimit(bidder, bidder.bid.first, inputs);
  if (limit === null)
    return [
      "No change of its failures would give it pairs: what it would learn is worth nothing under this gain curve.",
    ];
  const { refusalRate } = appraise(bidder, bidder.bid.first, inputs);
  return [
    `At level ${bidder.bid.first} less than ${percent(limit)} of edits would have to be refused; ${percent(refusalRate)} are.`,
  ];
}

/** What keeps it from another level. */
function otherLevels(bidder: Bidder, { inputs }: Scene): string[] {
  const { region, main, bid, onStaircase } = bidder;
  const { policy } = inputs;
  if (onStaircase || policy.allocation === "uniform") return [];
  const sentences: string[] = [];
  if (isHeld(region, policy)) {
    const alarm =
      region.alarms.length > 0 ? region.alarms.join(", ") : `chosen log-ratio ${three(region.chosenLogRatio)}`;
    const effect =
      bid.first === main.first ? "it would get the same level without" : `without it would get level ${bid.first}`;
    sentences.push(`An alarm holds its level (${alarm}); ${effect}, and as many pairs.`);
  }
  const open = openLevels(region, true);
  const best = appraise(bidder, bid.first, inputs).perFailure;
  for (const level of region.offered) {
    if (open & (1 << level)) continue;
    const { perFailure } = appraise(bidder, level, inputs);
    if (perFailure <= best) continue;
    if (level === 4 && region.ownAnswers === 0)
      sentences.push("Level 4 would be worth more, but needs wrong answers of the model itself.");
    else
      sentences.push(
        `Level ${level} would be worth more (${three(perFailure)}), but a level rises one step at a time.`,
      );
  }
  return sentences;
}

/** What would give it fewer pairs or another level. */
function less(bidder: Bidder, { inputs, bidders, ledger }: Scene): string[] {
  const { main, region, onStaircase } = bidder;
  if (onStaircase || inputs.policy.allocation === "uniform" || isHeld(region, inputs.policy)) return [];
  const sentences: string[] = [];
  if ((ledger.main[bidder.place] ?? 0) > 0) {
    const { above, below } = accuracyWindow(bidder, main.first, inputs, bidders, ledger);
    const limits = [
      ...(above === null ? [] : [`below ${three(above)}`]),
      ...(below === null ? [] : [`above ${three(below)}`]),
    ];
    if (limits.length > 0)
      sentences.push(
        `At a predicted accuracy ${limits.join(" or ")} it would get no pairs at level ${main.first} but probes.`,
      );
  }
  const open = levelsIn(openLevels(region, true));
  for (const direction of [1, -1] as const) {
    const turned = levelAfterChange(bidder, open, direction, inputs);
    if (turned)
      sentences.push(
        `From a predicted accuracy of ${three(turned.predicted)} ${direction === 1 ? "up" : "down"} it would get level ${turned.level}.`,
      );
  }
  return sentences;
}

/** When the floor reaches a region without pairs. */
function turn({ place, region }: Bidder, { inputs, bidders, ledger }: Scene): string[] {
  const { budgetPairs, floorShare, floorProbes, allocation } = inputs.policy;
  if (ledger.given(place) > 0 || allocation === "uniform") return [];
  const perTick = Math.ceil(Math.floor(budgetPairs * floorShare) / floorProbes);
  if (perTick === 0) return ["The floor is 0: it would have to be raised to reach regions that nothing else reaches."];
  const since = region.plannedAt ?? Number.NEGATIVE_INFINITY;
  const before = bidders.filter((other) => {
    const theirs = other.region.plannedAt ?? Number.NEGATIVE_INFINITY;
    return ledger.given(other.place) === 0 && (theirs < since || (theirs === since && other.place < place));
  }).length;
  const ticks = Math.floor(before / perTick) + 1;
  return [
    `${countOf(before, "region")} without pairs waited longer: the floor reaches it within ${countOf(ticks, "tick")}.`,
  ];
}

/** What the other strategy would give it. */
function elsewhere({ region, onStaircase }: Bidder, plan: Plan, { inputs }: Scene): string[] {
  const { policy } = inputs;
  if (!onStaircase && policy.allocation === "value") return [];
  const other = makePlan({ ...inputs, policy: { ...policy, allocation: "value", staircase: [] } });
  const pairs = other.lines.reduce((sum, line) => sum + (line.region === region.key ? line.pairs : 0), 0);
  return [
    `Were all regions planned by value, it would get ${countOf(pairs, "pair")} of ${other.planned}, not of ${plan.planned}.`,
  ];
}

function levelsIn(set: number): Level[] {
  return LEVELS.filter((level) => set & (1 << level));
}

/** Three digits. */
const three = (x: number) => String(Number(x.toPrecision(3)));
const percent = (share: number) => `${Math.round(100 * share)} %`;
