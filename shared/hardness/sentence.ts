import type { ErrorType } from "../taxonomy/taxonomy.ts";
import type { PlanLine, RegionState } from "./state.ts";

const NAMES: Readonly<Record<ErrorType, string>> = {
  "existence-add": "thing added",
  "existence-omit": "thing left out",
  "position-inversion": "wrong place",
  "count-near": "off by one",
  "count-far": "off by more",
  attribute: "wrong attribute",
  "attribute-swap": "attributes swapped",
  "role-swap": "roles swapped",
  action: "wrong action",
  "comparison-inversion": "comparison turned round",
  negation: "yes for no",
  "text-misread": "text misread",
  "temporal-order": "wrong order",
  identity: "wrong thing",
  scene: "wrong scene",
  knowledge: "wrong fact",
  "reasoning-step": "wrong step",
  "language-slip": "wrong language",
};

/** How people call an error type; one that is not of the taxonomy keeps its own name. */
function nameOf(errorType: string): string {
  return (NAMES as Readonly<Record<string, string>>)[errorType] ?? errorType;
}

/** A region as people read it. */
export function nameOfRegion({ task, errorType, language, modality }: RegionState): string {
  return [task, nameOf(errorType), language, ...(modality === "image" ? [] : [modality])].join(" / ");
}

/** A plan's line as one sentence with the numbers that decided it. */
export function sentenceOf(line: Omit<PlanLine, "sentence">, region: RegionState): string {
  const failed = Math.round(region.failures + region.newFailures);
  const exposed = Math.round(region.exposures + region.newExposures);
  const [low, high] = line.interval;
  const facts = [
    `${failed} of ${exposed} exposures failed`,
    `predicted accuracy ${two(line.predicted)} (${two(low)} to ${two(high)}${region.scored === 0 ? ", not measured yet" : ""})`,
    `${Math.round(100 * line.refusalRate)} % of edits refused`,
    region.costTokens > 0 ? `${tokens(region.costTokens)} tokens per pair` : "no tokens spent",
    ...(region.costMicros > 0 ? [`${Math.round(region.costMicros)} micro-units per pair`] : []),
    ...(line.alarms.length > 0 ? [`alarm: ${line.alarms.join(", ")}`] : []),
  ];
  return `${nameOfRegion(region)} gets ${countOf(line.pairs, "pair")} at level ${line.level}${WHY[line.kind]}${line.capped ? ", the most that one region may get" : ""}: ${facts.join(", ")}.`;
}

/** A number with its noun. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const WHY: Readonly<Record<PlanLine["kind"], string>> = {
  floor: " because it waited longest",
  value: "",
  staircase: " by the staircase",
  uniform: " like every region",
};

const two = (x: number) => x.toFixed(2);
const tokens = (n: number) => (n < 1000 ? String(Math.round(n)) : `${(n / 1000).toFixed(1)}k`);
