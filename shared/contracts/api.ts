import { INGEST } from "./api/ingest.ts";
import type { Operations } from "./api/operation.ts";
import { OPERATOR } from "./api/operator.ts";
import { PAIRS } from "./api/pairs.ts";
import { RETENTION } from "./api/retention.ts";
import { REVIEW } from "./api/review.ts";
import { SYSTEM } from "./api/system.ts";
import { TRAINING } from "./api/training.ts";

/**
 * Every call of the HTTP interface by its id. The router, the access checks, the OpenAPI document and the page for readers are
 * made from it.
 */
export const OPERATIONS = {
  ...INGEST,
  ...REVIEW,
  ...OPERATOR,
  ...PAIRS,
  ...TRAINING,
  ...RETENTION,
  ...SYSTEM,
} as const satisfies Operations;
