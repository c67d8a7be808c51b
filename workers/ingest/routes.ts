import { Hono } from "hono";
import type { z } from "zod";
import { LIMITS, sha256 } from "../../shared/contracts/common.ts";
import {
  failuresRequest,
  type failuresResponse,
  type imageStored,
  missingImagesRequest,
  type missingImagesResponse,
} from "../../shared/contracts/ingest.ts";
import { requireScope } from "../http/auth.ts";
import { readBytes, readJson } from "../http/body.ts";
import type { AppEnv } from "../http/context.ts";
import { readParam } from "../http/params.ts";
import { submitFailures } from "./failures.ts";
import { getImage, listMissing, putImage } from "./images.ts";

/** What deployed clients send: their failures and the images these are about. */
export function ingestRoutes(): Hono<AppEnv> {
  return new Hono<AppEnv>()
    .post("/v1/failures", requireScope("ingest"), async (c) => {
      const { events } = await readJson(c, failuresRequest, LIMITS.intakeBytes);
      const results = await submitFailures(c.env, c.get("actor"), events, Date.now());
      for (const status of ["stored", "duplicate", "conflict", "invalid"] as const) {
        c.get("log")[status] = results.filter((result) => result.status === status).length;
      }
      return c.json({ results } satisfies z.infer<typeof failuresResponse>);
    })
    .post("/v1/images/missing", requireScope("ingest"), async (c) => {
      const asked = await readJson(c, missingImagesRequest);
      const missing = await listMissing(c.env, c.get("actor"), asked.sha256);
      return c.json({ missing } satisfies z.infer<typeof missingImagesResponse>);
    })
    .put("/v1/images/:sha256", requireScope("ingest"), async (c) => {
      const hash = readParam(c, "sha256", sha256);
      const bytes = await readBytes(c, LIMITS.imageBytes);
      const stored = await putImage(c.env, c.get("actor"), hash, bytes, Date.now());
      return c.json(stored satisfies z.infer<typeof imageStored>, stored.created ? 201 : 200);
    })
    .get("/v1/images/:sha256", requireScope("train", "operate"), async (c) => {
      const image = await getImage(c.env, c.get("actor"), readParam(c, "sha256", sha256));
      return c.body(image.body, 200, {
        "content-type": image.mediaType,
        "content-length": String(image.bytes),
        // Bytes that a client sent: never to be run or read as something else.
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "cache-control": "private, max-age=31536000, immutable",
      });
    });
}
