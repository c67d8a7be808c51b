import type { z } from "zod";
import type { previewRequest, previewResponse } from "../../shared/contracts/operator.ts";
import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { comparePlans } from "../../shared/hardness/compare.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import type { Plan } from "../../shared/hardness/state.ts";
import { changesBetween } from "../../shared/policy/changes.ts";
import { changedRegions, previewSentence } from "../../shared/policy/preview.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { type InputsEnv, planInputs } from "../scheduler/inputs.ts";
import { currentPolicy } from "../store/policy.ts";
import { quotas } from "../training/batch.ts";

/** Chooses among sources, not among regions: both plans have the same. */
const SEED = 0;

/**
 * The next plan and the next batch under the document, held against those under the present policy, on the statistics as they
 * are now. Nothing is stored.
 */
export async function previewPolicy(
  env: InputsEnv,
  actor: Actor,
  { document }: z.output<typeof previewRequest>,
  nowMs: number,
): Promise<z.infer<typeof previewResponse>> {
  demand(actor, "operate");
  const current = await currentPolicy(env.DB);
  const before = await outlook(env, current.document, nowMs);
  const after = await outlook(env, document, nowMs);
  const { moved, regions } = comparePlans(before.plan, after.plan);
  const preview = {
    changes: changesBetween(current.document, document),
    planned: { before: before.plan.planned, after: after.plan.planned },
    moved,
    regions: changedRegions(regions, before.quotas, after.quotas),
  };
  const expected = (what: keyof Plan["expected"]) => ({
    before: before.plan.expected[what],
    after: after.plan.expected[what],
  });
  return {
    version: current.version,
    ...preview,
    expected: { tokens: expected("tokens"), micros: expected("micros") },
    summary: previewSentence(preview),
  };
}

async function outlook(env: InputsEnv, policy: PolicyDocument, nowMs: number) {
  const plan = makePlan(await planInputs(env, policy, nowMs, SEED));
  return { plan, quotas: await quotas(env.DB, policy) };
}
