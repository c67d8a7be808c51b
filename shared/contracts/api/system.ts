import { z } from "zod";
import { bytes, json, type Operations } from "./operation.ts";

export const liveness = z.object({ ok: z.literal(true) });
export const readiness = z.object({ ready: z.boolean(), database: z.boolean(), blobs: z.boolean() });

/** What monitoring and people who write clients call. */
export const SYSTEM = {
  getLiveness: {
    method: "GET",
    path: "/healthz",
    tag: "System",
    summary: "Whether the Worker runs",
    access: "open",
    answers: { 200: json(liveness, "It runs.") },
  },
  getReadiness: {
    method: "GET",
    path: "/readyz",
    tag: "System",
    summary: "Whether the database and the blob store answer",
    access: "open",
    answers: { 200: json(readiness, "Both answer."), 503: json(readiness, "One does not.") },
  },
  getMetrics: {
    method: "GET",
    path: "/metrics",
    tag: "System",
    summary: "Metrics in Prometheus' text format",
    access: ["observe", "operate"],
    answers: { 200: bytes(["text/plain"], "Version 0.0.4 of the format.") },
  },
  getOpenApi: {
    method: "GET",
    path: "/openapi.json",
    tag: "System",
    summary: "This interface as an OpenAPI 3.1 document",
    access: "open",
    answers: { 200: json(z.record(z.string(), z.unknown()), "The document.") },
  },
  getDocs: {
    method: "GET",
    path: "/docs",
    tag: "System",
    summary: "This interface as a page to read",
    access: "open",
    answers: { 200: bytes(["text/html"], "The page.") },
  },
} as const satisfies Operations;
