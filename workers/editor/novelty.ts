import { checkEdit, type EditOutcome, type EditRequest, normalise } from "../../shared/edits/index.ts";
import type { QueuedJob } from "../store/jobs.ts";

/** The rejected answers of every source in a message: those it has, and those that are made now. */
export class Novelty {
  readonly #made = new Map<string, string[]>();

  constructor(jobs: readonly QueuedJob[]) {
    for (const job of jobs) this.#made.set(job.sourceId, JSON.parse(job.made));
  }

  madeFor(job: QueuedJob): readonly string[] {
    return this.#made.get(job.sourceId) ?? [];
  }

  /** Puts an edit through the ladder, whoever made it; what passes is taken, so that no other job of the source makes it again. */
  admit(job: QueuedJob, request: EditRequest, rejected: string): EditOutcome {
    const checked = checkEdit({ ...request, rejected });
    if (!checked.ok) return checked;
    const made = this.madeFor(job);
    if (made.some((other) => normalise(other) === normalise(rejected))) {
      return { ok: false, reason: "novelty.duplicate", message: "This wrong answer exists already." };
    }
    this.#made.set(job.sourceId, [...made, rejected]);
    return { ok: true, rejected };
  }
}
