import type { Change } from "./changes.ts";

/** What a region gets of the next plan and of the next batch, before a change of the policy and after. */
export interface PreviewRegion {
  readonly region: string;
  readonly pairsBefore: number;
  readonly pairsAfter: number;
  /** Of its line with most pairs; null where it gets none. */
  readonly levelBefore: number | null;
  readonly levelAfter: number | null;
  readonly quotaBefore: number;
  readonly quotaAfter: number;
}

export interface Preview {
  readonly changes: readonly Change[];
  readonly planned: { readonly before: number; readonly after: number };
  /** Part of the plan that goes elsewhere, 0 to 1. */
  readonly moved: number;
  /** Those that change, the ones that move most first. */
  readonly regions: readonly PreviewRegion[];
}

type PlanShare = Pick<PreviewRegion, "region" | "pairsBefore" | "pairsAfter" | "levelBefore" | "levelAfter">;
type Quotas = ReadonlyMap<string, number>;

/** Joins what plans and batches give; only regions of which something changes, those that move most first, ties by name. */
export function changedRegions(plans: readonly PlanShare[], before: Quotas, after: Quotas): PreviewRegion[] {
  const shares = new Map(plans.map((plan) => [plan.region, plan]));
  const nothing = { pairsBefore: 0, pairsAfter: 0, levelBefore: null, levelAfter: null };
  return [...new Set([...shares.keys(), ...before.keys(), ...after.keys()])]
    .map((region) => ({
      ...(shares.get(region) ?? { ...nothing, region }),
      quotaBefore: before.get(region) ?? 0,
      quotaAfter: after.get(region) ?? 0,
    }))
    .filter((one) => size(one) > 0 || one.levelBefore !== one.levelAfter)
    .sort((a, b) => size(b) - size(a) || (a.region < b.region ? -1 : 1));
}

/** What the change would do, in one sentence. */
export function previewSentence({ changes, planned, moved, regions }: Preview): string {
  if (changes.length === 0) return "Nothing differs from the present policy.";
  const [first] = regions;
  if (!first) return "The next plan and the next batch stay as they are.";
  const most = `most moves in ${first.region}: ${movesOf(first)}.`;
  const isPlanned = regions.some((one) => one.pairsBefore !== one.pairsAfter || one.levelBefore !== one.levelAfter);
  if (!isPlanned) {
    const verb = regions.length === 1 ? "changes" : "change";
    return `The next plan stays as it is, and ${countOf(regions.length)} of the next batch ${verb}; ${most}`;
  }
  const pairs = planned.before === planned.after ? planned.after : `${planned.after} instead of ${planned.before}`;
  const gain = regions.filter((one) => one.pairsAfter > one.pairsBefore).length;
  const lose = regions.filter((one) => one.pairsAfter < one.pairsBefore).length;
  const share = `${Math.round(moved * 1_000) / 10} %`;
  return `The next plan has ${pairs} pairs, ${share} of them elsewhere: more for ${countOf(gain)}, fewer for ${lose}; ${most}`;
}

function countOf(regions: number): string {
  return regions === 1 ? "1 region" : `${regions} regions`;
}

function movesOf(one: PreviewRegion): string {
  const parts = [
    one.pairsBefore !== one.pairsAfter && `${one.pairsBefore} -> ${one.pairsAfter} pairs`,
    one.levelBefore !== one.levelAfter && `level ${one.levelBefore ?? "none"} -> ${one.levelAfter ?? "none"}`,
    one.quotaBefore !== one.quotaAfter && `${one.quotaBefore} -> ${one.quotaAfter} of the next batch`,
  ];
  return parts.filter((part) => part !== false).join(", ");
}

function size({ pairsBefore, pairsAfter, quotaBefore, quotaAfter }: PreviewRegion): number {
  return Math.abs(pairsAfter - pairsBefore) + Math.abs(quotaAfter - quotaBefore);
}
