import type { Env } from "../../workers/env.ts";
import { draftTick, runTick } from "../../workers/scheduler/tick.ts";
import { currentPolicy } from "../../workers/store/policy.ts";
import { newReading, type Reading, recording, replaying } from "./recorded.ts";

/**
 * The tick alone, in workerd or in Node. `tick` makes one with its database; `plan` makes its plan again from what the database
 * answered then: rows to inputs, plan, texts and hashes; `all` does all of it again that is not the database's.
 */
export type Part = "tick" | "plan" | "all";

/** What the last tick read. */
let last: Reading | undefined;

const NOWHERE = { sendBatch: async () => {}, put: async () => {} };

export default {
  async fetch(request: Request, env: Pick<Env, "DB" | "BLOBS">): Promise<Response> {
    const { part, slot, now } = (await request.json()) as { part: Part; slot: string; now: number };
    const wanted = { slot, now, seed: 1 };
    if (part === "tick") {
      last = newReading();
      await runTick({ ...env, DB: recording(env.DB, last), EDIT_QUEUE: NOWHERE as never }, wanted);
      return Response.json({ rowsRead: last.rowsRead, statements: last.statements });
    }
    if (!last) return Response.json({}, { status: 409 });
    const DB = replaying(last);
    if (part === "all") await runTick({ DB, BLOBS: NOWHERE as never, EDIT_QUEUE: NOWHERE as never }, wanted);
    else {
      await DB.prepare("").first(); // the tick of the slot
      await draftTick({ DB }, await currentPolicy(DB), wanted);
    }
    return Response.json({});
  },
};
