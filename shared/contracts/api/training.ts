import { z } from "zod";
import { LIMITS, label, sha256 } from "../common.ts";
import {
  adapterStored,
  championResponse,
  claimRequest,
  claimResponse,
  completeRequest,
  completeResponse,
  FENCE_HEADER,
  gateLine,
  heartbeatRequest,
  heartbeatResponse,
  LEASE_HEADER,
  NEXT_HEADER,
  pairLine,
  releaseRequest,
  reportsRequest,
  reportsResponse,
} from "../training.ts";
import { bytes, json, ndjson, none, type Operations } from "./operation.ts";

const held = {
  path: z.object({ id: label.meta({ description: "The round." }) }),
  headers: z.object({
    [LEASE_HEADER]: label.meta({ description: "The id of the round's lease." }),
    [FENCE_HEADER]: z
      .string()
      .regex(/^[1-9]\d{0,9}$/, "must be the lease's fence")
      .transform(Number)
      .meta({ description: "The lease's fence." }),
  }),
};
const page = z.object({
  after: z.string().max(200).default("").meta({ description: "The id of the last line read." }),
  limit: z.coerce.number<string>().int().min(1).max(LIMITS.pairsPerPage).default(LIMITS.pairsPerPage),
});
const nextPage = z.object({
  [NEXT_HEADER]: z.string().optional().meta({ description: "`after` of the next page; absent on the last." }),
});
const ofAdapter = z.object({ sha256: sha256.meta({ description: "SHA-256 of the adapter's bytes." }) });

/** What a training run calls, and where clients find the adapter to run. */
export const TRAINING = {
  claimRound: {
    method: "POST",
    path: "/v1/rounds",
    tag: "Training",
    summary: "Claim a batch of pairs",
    description: "A trainer that holds a round already gets the same one under a new fence.",
    access: ["train"],
    body: { kind: "json", schema: claimRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(claimResponse, "The round, or why there is none.") },
  },
  getBatch: {
    method: "GET",
    path: "/v1/rounds/{id}/pairs",
    tag: "Training",
    summary: "Read the round's pairs, page by page",
    access: ["train"],
    parameters: { ...held, query: page },
    answers: { 200: ndjson(pairLine, nextPage, "Pairs, one a line, by id.") },
    errors: ["conflict"],
  },
  getGate: {
    method: "GET",
    path: "/v1/rounds/{id}/gate",
    tag: "Training",
    summary: "Read the questions that judge the round, page by page",
    access: ["train"],
    parameters: { ...held, query: page },
    answers: { 200: ndjson(gateLine, nextPage, "Questions with their right answers, one a line.") },
    errors: ["conflict"],
  },
  heartbeat: {
    method: "POST",
    path: "/v1/rounds/{id}/heartbeat",
    tag: "Training",
    summary: "Keep the lease, and say how far the round is",
    access: ["train"],
    parameters: held,
    body: { kind: "json", schema: heartbeatRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(heartbeatResponse) },
    errors: ["conflict"],
  },
  reportPairs: {
    method: "POST",
    path: "/v1/rounds/{id}/reports",
    tag: "Training",
    summary: "Report pairs before and after",
    description: "A pair that was reported already keeps its first report.",
    access: ["train"],
    parameters: held,
    body: { kind: "json", schema: reportsRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(reportsResponse) },
    errors: ["conflict"],
  },
  completeRound: {
    method: "POST",
    path: "/v1/rounds/{id}/complete",
    tag: "Training",
    summary: "End the round with its verdict",
    description: "The same request again gets the same answer and changes nothing.",
    access: ["train"],
    parameters: held,
    body: { kind: "json", schema: completeRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(completeResponse) },
    errors: ["conflict", "unprocessable"],
  },
  releaseRound: {
    method: "POST",
    path: "/v1/rounds/{id}/release",
    tag: "Training",
    summary: "Give the round up",
    access: ["train"],
    parameters: held,
    body: { kind: "json", schema: releaseRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 204: none("Given up.") },
    errors: ["conflict"],
  },
  getChampion: {
    method: "GET",
    path: "/v1/adapters/champion",
    tag: "Adapters",
    summary: "Which adapter to run",
    access: ["ingest", "train"],
    answers: { 200: json(championResponse, "Null is the base model.") },
  },
  rollBack: {
    method: "POST",
    path: "/v1/adapters/rollback",
    tag: "Adapters",
    summary: "Take the champion back to the adapter that it replaced",
    access: ["operate"],
    answers: { 200: json(championResponse, "The champion now.") },
    errors: ["conflict"],
  },
  putAdapter: {
    method: "PUT",
    path: "/v1/adapters/{sha256}",
    tag: "Adapters",
    summary: "Store an adapter under its hash",
    description: "Sent with its `content-length`. Sending it again changes nothing.",
    access: ["train"],
    parameters: { path: ofAdapter },
    body: { kind: "stream", mediaTypes: ["application/octet-stream"], maxBytes: LIMITS.adapterBytes },
    answers: { 200: json(adapterStored, "It was stored before."), 201: json(adapterStored, "Stored.") },
    errors: ["unprocessable"],
  },
  getAdapter: {
    method: "GET",
    path: "/v1/adapters/{sha256}",
    tag: "Adapters",
    summary: "Read an adapter",
    access: ["ingest", "train"],
    parameters: { path: ofAdapter },
    answers: { 200: bytes(["application/octet-stream"], "The adapter's bytes.") },
    errors: ["not_found"],
  },
} as const satisfies Operations;
