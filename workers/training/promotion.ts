import type { z } from "zod";
import type { FieldProblem } from "../../shared/contracts/common.ts";
import type { GatePolicy } from "../../shared/contracts/policy.ts";
import type { completeRequest, GateResult } from "../../shared/contracts/training.ts";
import type { AdapterRow } from "../store/adapters.ts";

/** Reasons that a gate result can hold. */
const MAX_REASONS = 50;

/** States of adapters that were promoted before. (A rejected one may come again: the same batch and seed give the same bytes.) */
const CHAMPIONS: readonly AdapterRow["state"][] = ["champion", "previous"];

export type Completion = z.infer<typeof completeRequest>;

/** What the server knows of the round that is to be completed. */
export interface RoundFacts {
  readonly leaseId: string;
  readonly reference: string | null;
  readonly batchSha256: string;
  readonly gate: GatePolicy;
  /** As stored; null when it was not uploaded, or when the round has none. */
  readonly adapter: AdapterRow | null;
}

/**
 * What forbids this completion. A trainer cannot promote by its word alone: the numbers it sends must allow it, and the adapter
 * must be the one that this round made.
 */
export function problemsOfCompletion(request: Completion, round: RoundFacts): FieldProblem[] {
  return [
    ...adapterProblems(request, round),
    ...(request.gate.verdict === "promoted" ? gateProblems(request, round) : []),
  ];
}

function adapterProblems({ adapter, manifest, gate }: Completion, round: RoundFacts): FieldProblem[] {
  if (adapter === null) {
    return gate.verdict === "promoted" ? [{ path: "adapter", message: "must be given to be promoted" }] : [];
  }
  if (!round.adapter) return [{ path: "adapter", message: "was not uploaded" }];
  if (manifest === null) return [{ path: "manifest", message: "must be given with an adapter" }];
  return [
    ...(gate.verdict === "promoted" && CHAMPIONS.includes(round.adapter.state)
      ? [{ path: "adapter", message: "is or was the champion" }]
      : []),
    ...(manifest.parent !== round.reference
      ? [{ path: "manifest.parent", message: "is not the round's reference" }]
      : []),
    ...(manifest.lease !== round.leaseId ? [{ path: "manifest.lease", message: "is not the round's lease" }] : []),
    ...(manifest.batchSha256 !== round.batchSha256
      ? [{ path: "manifest.batchSha256", message: "is not the digest of the round's batch" }]
      : []),
  ];
}

function gateProblems({ gate }: Completion, round: RoundFacts): FieldProblem[] {
  const fallen = gate.slices.filter((slice) => slice.guard === "fell").map((slice) => slice.name);
  return [
    ...(gate.all.lower === null || gate.all.lower <= 0
      ? [{ path: "gate.all.lower", message: `must be above 0 to be promoted, it is ${gate.all.lower}` }]
      : []),
    ...(gate.all.n < round.gate.minItems
      ? [{ path: "gate.all.n", message: `must be at least ${round.gate.minItems} to be promoted, it is ${gate.all.n}` }]
      : []),
    ...(gate.all.guard === "fell" ? [{ path: "gate.all.guard", message: "fell" }] : []),
    ...(fallen.length > 0 ? [{ path: "gate.slices", message: `these fell: ${fallen.join(", ")}` }] : []),
    ...(gate.alarms.length > 0
      ? [{ path: "gate.alarms", message: `must be empty, there are ${gate.alarms.length}` }]
      : []),
  ];
}

/** The verdict on an adapter that won, and is not promoted all the same. */
export function turnedDown(gate: GateResult, sentence: string): GateResult {
  const reasons = [`Promotion was turned down: ${sentence}`, ...gate.reasons].slice(0, MAX_REASONS);
  return { ...gate, verdict: "rejected", reasons };
}
