import { DEFAULT_REPORT_CAP } from "../../shared/contracts/operator.ts";
import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { alarmsOf, watchRate } from "../../shared/hardness/alarms.ts";
import { exposureCuts, failureCuts } from "../../shared/hardness/client-share.ts";
import type { Funds, PlanInputs } from "../../shared/hardness/state.ts";
import { endOfTick } from "../../shared/hardness/statistics.ts";
import type { Env } from "../env.ts";
import { isConfigured } from "../model/chat.ts";
import { type ClientReports, weightsOf } from "../store/region-reports.ts";
import { fundsOf } from "../store/spending.ts";
import { queuedCost, type RegionStatistics, readForTick } from "../store/statistics.ts";
import { groupKey, readSupply, type SourceWindow } from "../store/supply.ts";
import { groupRegions, windowsOf } from "./windows.ts";

/** What is cut from a region's counts is rounded to so many parts: the order in which clients come must not show. */
const CUT_PRECISION = 1e6;

export type InputsEnv = Pick<Env, "DB" | "EDITOR_BASE_URL" | "EDITOR_MODEL" | "EDITOR_API_KEY">;

/** Everything that a tick knows before it plans. */
export interface Observed {
  readonly lastTick: number;
  readonly inputs: PlanInputs;
  /**
   * Archived ones too: their counts fade like the others'. New failures and exposures are without what was cut, and the watch of
   * the rate is that after the tick.
   */
  readonly regions: readonly RegionStatistics[];
  /** Where the sources of the planned regions lie. */
  readonly windows: readonly SourceWindow[];
  readonly reports: readonly ClientReports[];
  /** What was left out, because clients had more than their share. */
  readonly cut: { readonly failures: number; readonly exposures: number };
}

/** The inputs that a plan would have now under this policy. */
export async function planInputs(
  env: InputsEnv,
  policy: PolicyDocument,
  now: number,
  seed: number,
): Promise<PlanInputs> {
  return (await observe(env, policy, now, seed)).inputs;
}

/** Reads the statistics, the supply of sources and the funds: a bounded number of statements, and no row of a pair. */
export async function observe(env: InputsEnv, policy: PolicyDocument, now: number, seed: number): Promise<Observed> {
  const { scheduler, editor } = policy;
  const { lastTick, regions, difficulties, reports } = await readForTick(env.DB, DEFAULT_REPORT_CAP);
  const cuts = cutsOf(reports, scheduler.clientShareCap);
  for (const region of regions) countIn(region, cuts, policy);
  const planned = regions.filter(({ archivedAt }) => archivedAt === null);
  const { groups, groupOf } = groupRegions(planned, (region) => endOfTick(region, scheduler).failureMass);
  const windows = windowsOf(groups, scheduler);
  const [supply, funds] = await Promise.all([
    readSupply(env.DB, windows, editor.rejectedPerSource),
    fundsLeft(env, policy, now),
  ]);
  planned.forEach((region, i) => {
    const group = groupOf[i] ?? 0;
    region.editable = supply.editable[group] ?? 0;
    region.ownAnswers = supply.ownAnswers.get(region.errorType)?.[group] ?? 0;
    region.alarms = alarmsOf(region, policy);
  });
  return {
    lastTick,
    inputs: { at: now, seed, policy: scheduler, funds, regions: planned, difficulties },
    regions,
    windows,
    reports,
    cut: { failures: sum(cuts.failures), exposures: sum(cuts.exposures) },
  };
}

/** How much is left out of each region's failures and of each cell's exposures, because clients had more than their share. */
interface Cuts {
  readonly failures: ReadonlyMap<string, number>;
  readonly exposures: ReadonlyMap<string, number>;
}

function cutsOf(reports: readonly ClientReports[], cap: number): Cuts {
  const limited = reports.filter((one) => one.limited);
  const failures = limited.flatMap(weightsOf);
  return { failures: rounded(failureCuts(failures, cap)), exposures: rounded(exposureCuts(limited, cap)) };
}

function rounded(cuts: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...cuts].map(([name, cut]) => [name, Math.round(cut * CUT_PRECISION) / CUT_PRECISION]));
}

function sum(cuts: ReadonlyMap<string, number>): number {
  return [...cuts.values()].reduce((all, cut) => all + cut, 0);
}

/** Takes from a region's new reports what is cut, and watches its failure rate. */
function countIn(region: RegionStatistics, cuts: Cuts, { alarms }: PolicyDocument): void {
  region.newFailures = Math.max(0, region.countedFailures - (cuts.failures.get(region.key) ?? 0));
  if (cuts.exposures.size > 0) {
    region.newExposures = Math.max(0, region.countedExposures - (cuts.exposures.get(groupKey(region)) ?? 0));
  }
  const tick = { failures: region.newFailures, exposures: region.newExposures };
  region.rateWatch = watchRate(region.rateWatch, tick, alarms);
}

/** What may still be spent today, less what the queued edits will cost. */
async function fundsLeft(env: InputsEnv, policy: PolicyDocument, now: number): Promise<Funds> {
  const { EDITOR_BASE_URL: baseURL, EDITOR_MODEL: model, EDITOR_API_KEY: apiKey } = env;
  const hasModel = isConfigured({ baseURL, model, apiKey });
  const funds = await fundsOf(env.DB, policy, now, hasModel);
  if (funds.tokens === null && funds.micros === null) return funds;
  const queued = await queuedCost(env.DB);
  const less = (left: number | null, cost: number) => (left === null ? null : Math.max(0, left - Math.ceil(cost)));
  return { tokens: less(funds.tokens, queued.tokens), micros: less(funds.micros, queued.micros) };
}
