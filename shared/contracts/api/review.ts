import { z } from "zod";
import { LIMITS, label } from "../common.ts";
import {
  answerRequest,
  failureRow,
  failuresQuery,
  failuresResponse,
  intakeResponse,
  releaseRequest,
  releaseResponse,
} from "../review.ts";
import { json, type Operations } from "./operation.ts";

const ofFailure = z.object({ id: label.meta({ description: "The id under which the event is stored." }) });

/** What operators do with events that the intake could not finish by itself. */
export const REVIEW = {
  listFailures: {
    method: "GET",
    path: "/v1/failures",
    tag: "Review",
    summary: "List events that need a person",
    description:
      "`waiting`: nobody told the right answer. `held`: they speak of a model or an adapter that is not known.",
    access: ["operate"],
    parameters: { query: failuresQuery },
    answers: { 200: json(failuresResponse, "A page, by id.") },
  },
  getFailure: {
    method: "GET",
    path: "/v1/failures/{id}",
    tag: "Review",
    summary: "Read an event",
    access: ["operate"],
    parameters: { path: ofFailure },
    answers: { 200: json(failureRow) },
    errors: ["not_found"],
  },
  answerFailure: {
    method: "POST",
    path: "/v1/failures/{id}/answer",
    tag: "Review",
    summary: "Give an event the right answer",
    description: "From then on it can become training data; an event that was not judged counts now.",
    access: ["operate"],
    parameters: { path: ofFailure },
    body: { kind: "json", schema: answerRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(failureRow, "The event as it is now.") },
    errors: ["not_found", "conflict"],
  },
  releaseFailures: {
    method: "POST",
    path: "/v1/failures/release",
    tag: "Review",
    summary: "Let held events count",
    description: "A bounded number at once, the oldest first; `more` says whether to call again.",
    access: ["operate"],
    body: { kind: "json", schema: releaseRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(releaseResponse) },
    errors: ["conflict"],
  },
  getIntake: {
    method: "GET",
    path: "/v1/intake",
    tag: "Review",
    summary: "What the intake did, and what it could not finish",
    access: ["operate"],
    answers: { 200: json(intakeResponse) },
  },
} as const satisfies Operations;
