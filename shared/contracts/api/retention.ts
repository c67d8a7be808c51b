import { z } from "zod";
import { LIMITS, label } from "../common.ts";
import { erasureRequest, erasureRow, erasuresResponse } from "../retention.ts";
import { json, type Operations } from "./operation.ts";

/** Deletion on somebody's request. */
export const RETENTION = {
  requestErasure: {
    method: "POST",
    path: "/v1/erasures",
    tag: "Retention",
    summary: "Delete what a client sent, or whatever shows an image",
    description:
      "What is not done within the call goes on by itself. Asking again while it runs gets the same erasure.",
    access: ["admin"],
    body: { kind: "json", schema: erasureRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 202: json(erasureRow, "How far it has come.") },
    errors: ["not_found"],
  },
  listErasures: {
    method: "GET",
    path: "/v1/erasures",
    tag: "Retention",
    summary: "List erasures, the newest first",
    access: ["admin"],
    answers: { 200: json(erasuresResponse) },
  },
  getErasure: {
    method: "GET",
    path: "/v1/erasures/{id}",
    tag: "Retention",
    summary: "How far an erasure has come",
    access: ["admin"],
    parameters: { path: z.object({ id: label.meta({ description: "The erasure's id." }) }) },
    answers: { 200: json(erasureRow) },
    errors: ["not_found"],
  },
} as const satisfies Operations;
