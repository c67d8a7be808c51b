import { parseArgs } from "node:util";
import Table from "cli-table3";
import { DEFAULT_REPORT_CAP } from "../shared/contracts/operator.ts";
import { DEFAULT_POLICY } from "../shared/contracts/policy.ts";
import { levelsOf } from "../shared/edits/levels.ts";
import { type CellTotal, exposureCuts, failureCuts } from "../shared/hardness/client-share.ts";
import { comparePlans } from "../shared/hardness/compare.ts";
import { makePlan } from "../shared/hardness/plan.ts";
import { Random } from "../shared/hardness/simulator/random.ts";
import type { Plan, RegionState } from "../shared/hardness/state.ts";
import { endOfTick } from "../shared/hardness/statistics.ts";
import { regionKey, TASK_ERROR_TYPES, TASKS } from "../shared/taxonomy/taxonomy.ts";
import type { Result } from "./run.ts";

const POLICY = DEFAULT_POLICY.scheduler;
/** Ticks until failure masses are steady, and those that are looked at. */
const WARM_UP_TICKS = 30;
const MEASURED_TICKS = 20;
const HONEST_CLIENTS = 20;
/** Reports of an honest client and tick, on the average. */
const HONEST_REPORTS = 40;
const ATTACKER = "attacker";
/** Standard deviations of the logarithm of the honest clients' sizes. */
const POPULATIONS: Readonly<Record<string, number>> = {
  "clients alike": 0,
  "clients unlike": 0.5,
  "clients very unlike": 1,
};
/** Right answers that honest clients report beside each wrong one. */
const RIGHT_ANSWERS = [0, 1, 5];
/** Largest movement of the budget by one key that sends half of all judged events. */
const TARGET_POINTS = 5;

/** Which limits are in force. */
interface Limits {
  readonly perRegion: number;
  readonly share: number;
}
const BOTH = "both limits";
const LIMITS: Readonly<Record<string, Limits>> = {
  [BOTH]: { perRegion: DEFAULT_REPORT_CAP, share: POLICY.clientShareCap },
  "per region only": { perRegion: DEFAULT_REPORT_CAP, share: 1 },
  "no limits": { perRegion: Number.POSITIVE_INFINITY, share: 1 },
};

/** What a client sends in a tick, by region. */
interface Sent {
  readonly wrong: readonly number[];
  readonly right: readonly number[];
}

/** Where an attacker sends a tick's events, as many as it has. */
type Attack = (events: number, regions: readonly RegionState[]) => Sent;
const ATTACKS: Readonly<Record<string, readonly Attack[]>> = {
  "one region": [wrong((events, regions) => regions.map((_, i) => (i === 7 ? events : 0)))],
  "ten regions": [wrong((events, regions) => regions.map((_, i) => (i % 5 === 2 && i < 50 ? events / 10 : 0)))],
  "all regions": [wrong((events, regions) => regions.map(() => events / regions.length))],
  "the quiet half": [
    wrong((events, regions) => {
      const quiet = new Set([...regions].sort((a, b) => a.failureMass - b.failureMass).slice(0, regions.length / 2));
      return regions.map((region) => (quiet.has(region) ? events / quiet.size : 0));
    }),
  ],
  "one report": [wrong((_, regions) => regions.map((_, i) => (i === 7 ? 1 : 0)))],
  "right, one task": TASKS.map((task) => right((region) => region.task === task && region.language === "en")),
  "right, a language of its own": [right(({ language }) => language !== "en")],
};

function wrong(aim: (events: number, regions: readonly RegionState[]) => number[]): Attack {
  return (events, regions) => ({ wrong: aim(events, regions), right: regions.map(() => 0) });
}

/** Right answers to the first region that fits: they expose all of its cell. */
function right(fits: (region: RegionState) => boolean): Attack {
  return (events, regions) => {
    const first = regions.findIndex(fits);
    return { wrong: regions.map(() => 0), right: regions.map((_, i) => (i === first ? events : 0)) };
  };
}

interface Population {
  readonly seed: number;
  readonly clients: number;
  /** Of a client and tick, on the average. */
  readonly honestReports: number;
  readonly spread: number;
  /** Right answers beside each wrong one. */
  readonly right: number;
}

/** What comes of one population. */
interface Run {
  readonly plans: readonly Plan[];
  /** Part of the honest reports, cut to the cap per region, that counts after all. */
  readonly kept: number;
}

/**
 * One key that sends half of all judged events, against honest clients: by how much it moves the budget. Half the sum of the
 * changes of all regions' shares of the plan, tick by tick against the same population without the key; of the tasks, the one
 * that moves most. `--seeds N` (5), `--clients N` (20), `--reports N` per client and tick (40).
 */
export async function run(args: readonly string[]): Promise<readonly Result[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: "string", default: "5" },
      clients: { type: "string", default: String(HONEST_CLIENTS) },
      reports: { type: "string", default: String(HONEST_REPORTS) },
    },
  });
  const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => 1 + i);
  const [clients, honestReports] = [Number(values.clients), Number(values.reports)];
  const table = new Table({
    head: ["points of the budget moved", "right per wrong", ...Object.keys(ATTACKS), "honest reports kept"],
    style: { head: [], border: [] },
  });
  const results: Result[] = [];
  for (const [name, limits] of Object.entries(LIMITS)) {
    for (const [kind, spread] of Object.entries(POPULATIONS)) {
      if (limits !== LIMITS[BOTH] && spread > 0) continue;
      for (const right of RIGHT_ANSWERS) {
        const populations = seeds.map((seed) => ({ seed, clients, honestReports, spread, right }));
        const { moved, kept } = measure(populations, limits);
        table.push([
          `${name}, ${kind}`,
          right,
          ...moved.map((points) => points.toFixed(1)),
          `${(100 * kept).toFixed(0)} %`,
        ]);
        if (limits !== LIMITS[BOTH]) continue;
        const value = Math.max(...moved);
        results.push({ name: `${kind}, ${right} right`, value, unit: "points", op: "<=", target: TARGET_POINTS });
      }
    }
  }
  console.log(table.toString());
  return results;
}

/** Points moved by each attack, and the part of the honest reports that is kept without any; means over the populations. */
function measure(populations: readonly Population[], limits: Limits): { moved: number[]; kept: number } {
  const quiet = populations.map((population) => simulate(population, limits, null));
  const movedBy = (attack: Attack) =>
    mean(populations.map((population, i) => movement(quiet[i], simulate(population, limits, attack))));
  return {
    moved: Object.values(ATTACKS).map((attacks) => Math.max(...attacks.map(movedBy))),
    kept: mean(quiet.map(({ kept }) => kept)),
  };
}

function movement(quiet: Run | undefined, attacked: Run): number {
  return mean(attacked.plans.map((plan, i) => 100 * comparePlans(quiet?.plans[i] ?? plan, plan).moved));
}

/** Ticks of a population, and the plans of the last ones. The same seed gives the same honest reports, whoever else reports. */
function simulate(
  { seed, clients, honestReports, spread, right }: Population,
  limits: Limits,
  attack: Attack | null,
): Run {
  const random = Random.seeded(seed);
  let regions = regionsOf(random);
  const traffic = shares(
    regions.map(({ language }, i) => (language === "en" ? (1 + ((i * 37) % (regions.length - 1))) ** -0.8 : 0)),
  );
  const sizes = shares(Array.from({ length: clients }, () => Math.exp(spread * random.normal())));
  const plans: Plan[] = [];
  const kept: number[] = [];
  for (let tick = 0; tick < WARM_UP_TICKS + MEASURED_TICKS; tick++) {
    const sent = new Map(
      sizes.map((size, i): [string, Sent] => {
        const wrong = traffic.map((share) => poisson(share * size * clients * honestReports, random));
        return [`honest ${i}`, { wrong, right: wrong.map((count) => right * count) }];
      }),
    );
    if (attack) sent.set(ATTACKER, attack(clients * honestReports * (1 + right), regions));
    const { failures, kept: part } = counted(sent, regions.length, limits);
    const exposures = exposed(sent, regions, limits);
    kept.push(part);
    regions = regions.map((region, i) => ({
      ...region,
      newFailures: failures[i] ?? 0,
      newExposures: exposures.get(cellOf(region)) ?? 0,
    }));
    const plan = makePlan({
      at: tick,
      seed,
      policy: POLICY,
      funds: { tokens: null, micros: null },
      regions,
      difficulties: {},
    });
    if (tick >= WARM_UP_TICKS) plans.push(plan);
    const planned = new Set(plan.lines.map((line) => line.region));
    regions = regions.map((region) => ({
      ...region,
      ...endOfTick(region, POLICY),
      plannedAt: planned.has(region.key) ? tick : region.plannedAt,
    }));
  }
  return { plans, kept: mean(kept) };
}

/** Every region's failures of a tick, after the cap per client and region and the cuts of clients that stand out, and the part that counts. */
function counted(
  sent: ReadonlyMap<string, Sent>,
  regions: number,
  limits: Limits,
): { failures: number[]; kept: number } {
  const totals = [...sent].flatMap(([clientId, { wrong }]) =>
    wrong.map((count, i) => ({ clientId, region: String(i), counted: Math.min(count, limits.perRegion) })),
  );
  const failures = new Array<number>(regions).fill(0);
  for (const { region, counted: count } of totals) failures[Number(region)] = (failures[Number(region)] ?? 0) + count;
  const sum = () => failures.reduce((all, count) => all + count, 0);
  const before = sum();
  for (const [region, cut] of failureCuts(totals, limits.share)) {
    failures[Number(region)] = (failures[Number(region)] ?? 0) - cut;
  }
  return { failures, kept: before === 0 ? 1 : sum() / before };
}

/** Every cell's exposures of a tick, after the cut of the clients that have more than their share. */
function exposed(
  sent: ReadonlyMap<string, Sent>,
  regions: readonly RegionState[],
  limits: Limits,
): ReadonlyMap<string, number> {
  const totals = [...sent].flatMap(([clientId, { wrong, right }]) => {
    const own = new Map<string, number>();
    for (const [i, region] of regions.entries()) {
      const cell = cellOf(region);
      own.set(cell, (own.get(cell) ?? 0) + (wrong[i] ?? 0) + (right[i] ?? 0));
    }
    return [...own].map(([cell, exposures]): CellTotal => ({ clientId, cell, exposures }));
  });
  const exposures = new Map<string, number>();
  for (const total of totals) exposures.set(total.cell, (exposures.get(total.cell) ?? 0) + total.exposures);
  for (const [cell, cut] of exposureCuts(totals, limits.share)) {
    exposures.set(cell, (exposures.get(cell) ?? 0) - cut);
  }
  return exposures;
}

/** All regions are of one modality. */
function cellOf({ task, language }: RegionState): string {
  return `${task}/${language}`;
}

/** Regions of every task and error type, able to a different degree; and one in a language that nobody asks in. */
function regionsOf(random: Random): RegionState[] {
  const untried = { attempted: 0, refused: 0 };
  const asked = TASKS.flatMap((task) =>
    TASK_ERROR_TYPES[task].map((errorType) => ({ task, errorType, language: "en" })),
  );
  return [...asked, { task: "counting", errorType: "count-near", language: "fr" } as const].map(
    (named): RegionState => {
      const cell = { ...named, modality: "image" } as const;
      return {
        ...cell,
        key: regionKey(cell),
        failures: 0,
        exposures: 0,
        failureMass: 0,
        newFailures: 0,
        newExposures: 0,
        abilityMean: random.normal(),
        abilityVar: 0.1,
        level: 3,
        stairLevel: 2,
        costTokens: 1_000,
        costMicros: 0,
        chosenLogRatio: 0,
        backlog: 0,
        scored: 100,
        plannedAt: null,
        editable: 100_000,
        ownAnswers: 0,
        offered: levelsOf(cell.errorType),
        alarms: [],
        levels: [untried, untried, untried, untried],
      };
    },
  );
}

function shares(weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return weights.map((weight) => weight / sum);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0) / Math.max(1, numbers.length);
}

/** Knuth's method: products of uniform numbers until they fall below e^-rate. */
function poisson(rate: number, random: Random): number {
  const least = Math.exp(-rate);
  let count = 0;
  for (let product = random.uniform(); product > least; product *= random.uniform()) count++;
  return count;
}
