import { z } from "zod";
import { LIMITS, label } from "../common.ts";
import { movePairsRequest, movePairsResponse, pairDetail, pairsQuery, pairsResponse } from "../operator.ts";
import { json, type Operations } from "./operation.ts";

/** What operators see of pairs, and decide about them. */
export const PAIRS = {
  listPairs: {
    method: "GET",
    path: "/v1/pairs",
    tag: "Pairs",
    summary: "List pairs",
    description: "By id; of one state or one region, if these are given.",
    access: ["operate"],
    parameters: { query: pairsQuery },
    answers: { 200: json(pairsResponse, "A page.") },
  },
  getPair: {
    method: "GET",
    path: "/v1/pairs/{id}",
    tag: "Pairs",
    summary: "Read a pair with all that is known of it",
    description: "Where it came from, what rounds measured, and the doubts about it.",
    access: ["operate"],
    parameters: { path: z.object({ id: label.meta({ description: "The pair." }) }) },
    answers: { 200: json(pairDetail) },
    errors: ["not_found"],
  },
  movePairs: {
    method: "POST",
    path: "/v1/pairs/move",
    tag: "Pairs",
    summary: "Doubt, restore or reject pairs",
    description:
      "`quarantine` has them checked again; `restore` and `reject` end such a check. Pairs that a round holds, and sentinels, are left alone.",
    access: ["operate"],
    body: { kind: "json", schema: movePairsRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(movePairsResponse, "Which pairs moved, and why others did not.") },
  },
} as const satisfies Operations;
