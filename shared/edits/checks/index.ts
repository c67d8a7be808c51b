import type { Span } from "../diff.ts";
import type { Candidate, Refusal } from "../types.ts";
import { checkAim } from "./aim.ts";
import { checkForm } from "./form.ts";
import { checkNearness } from "./nearness.ts";
import { checkRule } from "./rule.ts";

export type CheckOutcome = { readonly ok: true; readonly spans: readonly Span[]; readonly distance: number } | Refusal;

/** The rungs of the ladder that need nothing but the texts, cheapest first: form, nearness, aim, rule. */
export function checkEdit(candidate: Candidate): CheckOutcome {
  const form = checkForm(candidate);
  if (form) return form;
  const near = checkNearness(candidate);
  if ("reason" in near) return near;
  const problem = checkAim(near.spans, candidate.errorType) ?? checkRule(candidate);
  return problem ?? { ok: true, ...near };
}
