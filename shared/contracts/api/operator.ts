import { z } from "zod";
import { LIMITS, label } from "../common.ts";
import {
  createKeyRequest,
  createKeyResponse,
  keysResponse,
  policyResponse,
  regionsResponse,
  rotateKeyRequest,
  roundRow,
  roundsResponse,
  setPolicyRequest,
  tickJobs,
  tickRequest,
  tickResponse,
} from "../operator.ts";
import { KEY_EXAMPLE } from "./examples.ts";
import { json, none, type Operations } from "./operation.ts";

const ofKey = z.object({ id: label.meta({ description: "The key's id." }) });
const ofTick = z.object({
  id: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the number of a tick")
    .transform(Number)
    .meta({ description: "The number of a tick." }),
});

/** What operators call, from the console or the command line. */
export const OPERATOR = {
  runTick: {
    method: "POST",
    path: "/v1/ticks",
    tag: "Scheduling",
    summary: "Make the plan of a slot, or find it",
    description: "A slot has one plan, however often it is asked for. Without a slot, a new plan is made.",
    access: ["operate"],
    body: { kind: "json", schema: tickRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(tickResponse, "The slot had its plan."), 201: json(tickResponse, "Planned now.") },
  },
  getTick: {
    method: "GET",
    path: "/v1/ticks/{id}",
    tag: "Scheduling",
    summary: "Read a plan",
    access: ["operate"],
    parameters: { path: ofTick },
    answers: { 200: json(tickResponse) },
    errors: ["not_found"],
  },
  getTickJobs: {
    method: "GET",
    path: "/v1/ticks/{id}/jobs",
    tag: "Scheduling",
    summary: "How far a plan's edits are, and how they ended",
    access: ["operate"],
    parameters: { path: ofTick },
    answers: { 200: json(tickJobs) },
    errors: ["not_found"],
  },
  getPolicy: {
    method: "GET",
    path: "/v1/policy",
    tag: "Operating",
    summary: "Read the policy",
    access: ["operate"],
    answers: { 200: json(policyResponse, "The newest version.") },
  },
  setPolicy: {
    method: "PUT",
    path: "/v1/policy",
    tag: "Operating",
    summary: "Change the policy",
    description: "`version` is the one that was edited; it must still be the newest.",
    access: ["operate"],
    body: { kind: "json", schema: setPolicyRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(policyResponse, "The next version.") },
    errors: ["conflict"],
  },
  getRegions: {
    method: "GET",
    path: "/v1/regions",
    tag: "Operating",
    summary: "What is known of every region of the task space",
    access: ["operate"],
    answers: { 200: json(regionsResponse) },
  },
  getRounds: {
    method: "GET",
    path: "/v1/rounds",
    tag: "Operating",
    summary: "List rounds, the newest first",
    access: ["operate"],
    answers: { 200: json(roundsResponse) },
  },
  getRound: {
    method: "GET",
    path: "/v1/rounds/{id}",
    tag: "Operating",
    summary: "Read a round",
    access: ["operate"],
    parameters: { path: z.object({ id: label.meta({ description: "The round." }) }) },
    answers: { 200: json(roundRow) },
    errors: ["not_found"],
  },
  createKey: {
    method: "POST",
    path: "/v1/keys",
    tag: "Access",
    summary: "Make a key for a client",
    description: "The client is made too when its name is new. The key is shown this once; only its hash is stored.",
    access: ["admin"],
    body: { kind: "json", schema: createKeyRequest, maxBytes: LIMITS.jsonBytes, example: KEY_EXAMPLE },
    answers: { 201: json(createKeyResponse, "The key.") },
  },
  listKeys: {
    method: "GET",
    path: "/v1/keys",
    tag: "Access",
    summary: "List keys",
    access: ["admin"],
    answers: { 200: json(keysResponse) },
  },
  rotateKey: {
    method: "POST",
    path: "/v1/keys/{id}/rotate",
    tag: "Access",
    summary: "Replace a key",
    description: "The new key has the same client and the same rights; the old one works for a while more.",
    access: ["admin"],
    parameters: { path: ofKey },
    body: { kind: "json", schema: rotateKeyRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 201: json(createKeyResponse, "The new key.") },
    errors: ["not_found", "conflict"],
  },
  closeKey: {
    method: "DELETE",
    path: "/v1/keys/{id}",
    tag: "Access",
    summary: "Revoke a key",
    description: "The next request with it is refused. Revoking twice is harmless.",
    access: ["admin"],
    parameters: { path: ofKey },
    answers: { 204: none("Revoked.") },
    errors: ["not_found"],
  },
} as const satisfies Operations;
