import { z } from "zod";
import { contentPart, conversation, errorBody, fieldProblem, turn } from "../../shared/contracts/common.ts";
import { eventResult, failureEvent, pairEvent } from "../../shared/contracts/ingest.ts";
import {
  keyRow,
  planLine,
  policyResponse,
  regionRow,
  roundRow,
  tickResponse,
} from "../../shared/contracts/operator.ts";
import { policyDocument } from "../../shared/contracts/policy.ts";
import { erasureRow } from "../../shared/contracts/retention.ts";
import { failureRow } from "../../shared/contracts/review.ts";
import {
  adapterManifest,
  championResponse,
  claimedRound,
  gateLine,
  gateResult,
  gateSlice,
  pairLine,
  pairReport,
} from "../../shared/contracts/training.ts";

/** Schemas that the OpenAPI document calls by name. */
const COMPONENTS: Readonly<Record<string, z.ZodType>> = {
  FailureEvent: failureEvent,
  PairEvent: pairEvent,
  EventResult: eventResult,
  Conversation: conversation,
  Turn: turn,
  ContentPart: contentPart,
  Failure: failureRow,
  Error: errorBody,
  FieldProblem: fieldProblem,
  Policy: policyResponse,
  PolicyDocument: policyDocument,
  Region: regionRow,
  Tick: tickResponse,
  PlanLine: planLine,
  Key: keyRow,
  Round: roundRow,
  ClaimedRound: claimedRound,
  Pair: pairLine,
  GateQuestion: gateLine,
  GateResult: gateResult,
  GateSlice: gateSlice,
  PairReport: pairReport,
  AdapterManifest: adapterManifest,
  Champion: championResponse,
  Erasure: erasureRow,
};

/** Tells zod the names, which is where the maker of the document looks for them. */
export function nameComponents(): void {
  for (const [id, schema] of Object.entries(COMPONENTS)) {
    z.globalRegistry.add(schema, { ...z.globalRegistry.get(schema), id });
  }
}
