import { z } from "zod";
import { LIMITS, sha256 } from "../common.ts";
import {
  createLinkRequest,
  createLinkResponse,
  createTokenRequest,
  createTokenResponse,
  eventsResponse,
  failureEvent,
  imageStored,
  missingImagesRequest,
  missingImagesResponse,
  pairEvent,
} from "../ingest.ts";
import { FAILURE_EXAMPLE, PAIR_EXAMPLE } from "./examples.ts";
import { bytes, json, type Operations } from "./operation.ts";

export const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"] as const;

const ofImage = z.object({ sha256: sha256.meta({ description: "SHA-256 of the image's bytes." }) });
const RESULTS = "One result per event, in the order in which they were sent.";

/** What deployed clients call. */
export const INGEST = {
  submitFailures: {
    method: "POST",
    path: "/v1/failures",
    tag: "Events",
    summary: "Report answers of a deployed model",
    description:
      "What is answered `stored` is committed, and the same request may be sent again at any time: an event is stored once. " +
      "With `correction` or `reference` an event can become training data.",
    access: ["ingest", "feedback"],
    counted: "events",
    body: { kind: "events", event: failureEvent, maxBytes: LIMITS.intakeBytes, example: FAILURE_EXAMPLE },
    answers: { 200: json(eventsResponse, RESULTS) },
  },
  submitPairs: {
    method: "POST",
    path: "/v1/pairs",
    tag: "Events",
    summary: "Report pairs of answers with their rewards",
    description: "Two answers of a deployed model to one prompt. The policy says when the better one counts as right.",
    access: ["ingest", "feedback"],
    counted: "events",
    body: { kind: "events", event: pairEvent, maxBytes: LIMITS.intakeBytes, example: PAIR_EXAMPLE },
    answers: { 200: json(eventsResponse, RESULTS) },
  },
  listMissingImages: {
    method: "POST",
    path: "/v1/images/missing",
    tag: "Events",
    summary: "Ask which images are not stored yet",
    access: ["ingest", "feedback"],
    body: { kind: "json", schema: missingImagesRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 200: json(missingImagesResponse, "Each missing hash once, in the order they were asked for.") },
  },
  putImage: {
    method: "PUT",
    path: "/v1/images/{sha256}",
    tag: "Events",
    summary: "Store an image under its hash",
    description:
      `The bytes must have the hash of the path. At most ${LIMITS.imageSidePx.toLocaleString("en")} pixels a side and ` +
      `${LIMITS.imagePixels.toLocaleString("en")} in all. Sending it again changes nothing.`,
    access: ["ingest", "feedback"],
    parameters: { path: ofImage },
    body: { kind: "bytes", mediaTypes: IMAGE_TYPES, maxBytes: LIMITS.imageBytes },
    answers: { 200: json(imageStored, "It was stored before."), 201: json(imageStored, "Stored.") },
    errors: ["unprocessable"],
  },
  getImage: {
    method: "GET",
    path: "/v1/images/{sha256}",
    tag: "Events",
    summary: "Read an image",
    access: ["train", "operate"],
    link: true,
    parameters: { path: ofImage },
    answers: { 200: bytes(IMAGE_TYPES, "The image's bytes.") },
    errors: ["not_found"],
  },
  createToken: {
    method: "POST",
    path: "/v1/tokens",
    tag: "Access",
    summary: "Make a token for one browser",
    description: "It reports for one model from one origin, until it expires, and counts against the key that made it.",
    access: ["ingest"],
    body: { kind: "json", schema: createTokenRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 201: json(createTokenResponse, "The token.") },
    errors: ["not_configured"],
  },
  createLink: {
    method: "POST",
    path: "/v1/links",
    tag: "Access",
    summary: "Make a link that opens one image",
    description: "Whoever holds the link can read the image until it expires.",
    access: ["train", "operate"],
    body: { kind: "json", schema: createLinkRequest, maxBytes: LIMITS.jsonBytes },
    answers: { 201: json(createLinkResponse, "The link.") },
    errors: ["not_configured"],
  },
} as const satisfies Operations;
