import { z } from "zod";
import { label, sha256, timeMs } from "./common.ts";

/** Whose data is erased: a client's, by its id; or whatever shows an image. */
export const erasureRequest = z.union([z.strictObject({ client: label }), z.strictObject({ image: sha256 })]);
export type ErasureRequest = z.infer<typeof erasureRequest>;

/**
 * An erasure. `removed` counts, as far as it has come: `events` of the database, `archivedEvents`, and the `sources`, `jobs`,
 * `pairs` and `images` that went with them.
 */
export const erasureRow = z.object({
  id: z.string(),
  kind: z.enum(["client", "image"]),
  subject: z.string(),
  state: z.enum(["running", "done"]),
  removed: z.record(z.string(), z.int()),
  requestedBy: z.string(),
  requestedAt: timeMs,
  finishedAt: timeMs.nullable(),
});
export type ErasureRow = z.infer<typeof erasureRow>;
/** The newest first. */
export const erasuresResponse = z.object({ erasures: z.array(erasureRow) });
