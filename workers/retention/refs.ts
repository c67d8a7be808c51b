import type { Env } from "../env.ts";
import { readCursor } from "../store/cursors.ts";
import { leastIdAt } from "../store/failures.ts";
import { IMAGE_REFS, indexEvents, nextEvents } from "../store/image-refs.ts";
import { REFS_LAG_MS, RETENTION_LIMITS, type RetentionLimits } from "./limits.ts";

export interface Indexed {
  readonly events: number;
  /** Nothing is left that is older than the lag. */
  readonly caughtUp: boolean;
}

/** Notes which events show which images, in the order of the events' ids. Intake leaves this out to be fast. */
export async function indexImages(
  env: Pick<Env, "DB">,
  nowMs: number,
  deadline: number,
  limits: RetentionLimits = RETENTION_LIMITS,
): Promise<Indexed> {
  const until = leastIdAt(nowMs - REFS_LAG_MS);
  let position = await readCursor(env.DB, IMAGE_REFS);
  let events = 0;
  for (let window = 0; window < limits.refsWindows && Date.now() < deadline; window++) {
    const next = await nextEvents(env.DB, position, until, limits.refsEvents);
    if (next.last !== null) await indexEvents(env.DB, position, next.last, nowMs);
    position = next.last ?? position;
    events += next.events;
    if (next.events < limits.refsEvents) return { events, caughtUp: true };
  }
  return { events, caughtUp: false };
}
