import { conversation } from "../../shared/contracts/common.ts";
import type { EditorPolicy } from "../../shared/contracts/policy.ts";
import { type EditOutcome, type EditRequest, editBuiltin, editPrompt } from "../../shared/edits/index.ts";
import { classify } from "../../shared/taxonomy/classify.ts";
import type { ErrorType, Level, Task } from "../../shared/taxonomy/taxonomy.ts";
import { ModelFailure } from "../model/chat.ts";
import { eachLimited } from "../model/each-limited.ts";
import { ModelHealth, type Switch } from "../model/health.ts";
import type { JobResult, QueuedJob } from "../store/jobs.ts";
import type { ModelEditor, ModelReply, Repair } from "./model.ts";
import { Novelty } from "./novelty.ts";

/** Calls to the model in flight at once, per message. */
const MODEL_CONCURRENCY = 4;
/** Answers to other questions of the task that the built-in editor may take its words from. */
const FAMILIAR_ANSWERS = 40;
const BUILTIN = "builtin";
/** The origin of a wrong answer that the deployed model itself gave. */
const OWN = "own";

export interface Edited {
  readonly results: readonly JobResult[];
  readonly switched: Switch | null;
}

/** What one job came to, and what it cost. */
type Attempt = { readonly outcome: EditOutcome; readonly editor: string; readonly origin: string } & Tokens;

interface Tokens {
  readonly tokensIn: number;
  readonly tokensOut: number;
}
const NO_TOKENS: Tokens = { tokensIn: 0, tokensOut: 0 };

/**
 * Edits all jobs of one message. The model works until it fails too often in a row; each single failure, and all that follows
 * the last one, is done by the built-in editor. Whoever edits, the same ladder of checks decides.
 */
export async function editJobs(
  jobs: readonly QueuedJob[],
  model: ModelEditor | null,
  policy: EditorPolicy,
): Promise<Edited> {
  const health = new ModelHealth(model, policy.modelFailuresToSwitch);
  const novelty = new Novelty(jobs);
  const results: JobResult[] = [];
  await eachLimited(jobs, model ? MODEL_CONCURRENCY : 1, async (job) => {
    const startedAt = Date.now();
    const attempt = editJob(job, jobs, { health, novelty, policy });
    const result = await attempt.then(toResult, toFailure);
    results.push({ id: job.id, ...result, durationMs: Date.now() - startedAt });
  });
  return { results, switched: health.switched };
}

interface Workshop {
  readonly health: ModelHealth<ModelEditor>;
  readonly novelty: Novelty;
  readonly policy: EditorPolicy;
}

async function editJob(job: QueuedJob, jobs: readonly QueuedJob[], shop: Workshop): Promise<Attempt> {
  const request = toRequest(job, jobs);
  const own = ownMistake(request);
  // The model's own mistake is known: nobody has to think of it.
  if (own) return { outcome: editBuiltIn(own, job, shop.novelty), editor: BUILTIN, origin: OWN, ...NO_TOKENS };
  const meter = new Meter();
  const made = await shop.health.attempt(async (model) => ({
    outcome: await editByModel(model, request, job, shop, meter),
    editor: model.name,
    origin: model.name,
  }));
  if (made) return { ...made, ...meter.tokens };
  return { outcome: editBuiltIn(request, job, shop.novelty), editor: BUILTIN, origin: BUILTIN, ...meter.tokens };
}

/**
 * The order to transplant the deployed model's own mistake; null when that is not what is asked. The mistake is checked for what
 * it is: the error type of the report may be a guess.
 */
function ownMistake(request: EditRequest): EditRequest | null {
  const { question, answer, task, level, ownAnswer } = request;
  if (level !== 4 || ownAnswer === null) return null;
  return { ...request, errorType: classify({ question, response: ownAnswer, answer, task }).errorType };
}

function editBuiltIn(request: EditRequest, job: QueuedJob, novelty: Novelty): EditOutcome {
  const made = editBuiltin({ ...request, avoid: novelty.madeFor(job) });
  return made.ok ? novelty.admit(job, request, made.rejected) : made;
}

/** Asks the model; a refused edit is told why and gets one second try. */
async function editByModel(
  model: ModelEditor,
  request: EditRequest,
  job: QueuedJob,
  { novelty, policy }: Workshop,
  meter: Meter,
): Promise<EditOutcome> {
  const prompt = editPrompt({ ...request, avoid: novelty.madeFor(job) });
  const ask = (repair?: Repair) => meter.count(model.edit(prompt, policy.modelTimeoutMs, repair));
  const first = await ask();
  const outcome = novelty.admit(job, request, first.rejected);
  if (outcome.ok) return outcome;
  const second = await ask({ rejected: first.rejected, refusal: outcome.message });
  return novelty.admit(job, request, second.rejected);
}

/** What a job has spent, on replies that were no use too. */
class Meter {
  tokens: Tokens = NO_TOKENS;

  async count(reply: Promise<ModelReply>): Promise<ModelReply> {
    try {
      const received = await reply;
      this.#add(received);
      return received;
    } catch (error) {
      if (error instanceof ModelFailure) this.#add(error);
      throw error;
    }
  }

  #add({ tokensIn, tokensOut }: Tokens): void {
    this.tokens = { tokensIn: this.tokens.tokensIn + tokensIn, tokensOut: this.tokens.tokensOut + tokensOut };
  }
}

function toRequest(job: QueuedJob, jobs: readonly QueuedJob[]): EditRequest {
  return {
    question: lastQuestion(job.conversation),
    answer: job.answer,
    task: job.task as Task,
    errorType: job.errorType as ErrorType,
    level: job.level as Level,
    language: job.language,
    ownAnswer: job.ownAnswer,
    avoid: [],
    familiar: familiarTo(job, jobs),
    seed: Number.parseInt(job.id.slice(0, 8), 16),
  };
}

/** The text of the user's last turn; `json` is a stored conversation. */
function lastQuestion(json: string): string {
  const turns = conversation.parse(JSON.parse(json));
  const parts = turns.at(-1)?.content ?? [];
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

function familiarTo(job: QueuedJob, jobs: readonly QueuedJob[]): string[] {
  const kin = jobs.filter(({ task, language, sourceId }) => {
    return task === job.task && language === job.language && sourceId !== job.sourceId;
  });
  return [...new Set(kin.map(({ answer }) => answer))].slice(0, FAMILIAR_ANSWERS);
}

type Ended = Omit<JobResult, "id" | "durationMs">;

function toResult({ outcome, ...made }: Attempt): Ended {
  if (outcome.ok) return { ...made, state: "accepted", reason: null, rejected: outcome.rejected };
  return { ...made, state: "refused", reason: outcome.reason, rejected: null };
}

/** An error of ours ends the one job: its message must not come back for ever because of it. */
function toFailure(error: unknown): Ended {
  const reason = error instanceof Error ? error.name : "unknown error";
  return { state: "failed", reason, rejected: null, editor: BUILTIN, origin: BUILTIN, tokensIn: 0, tokensOut: 0 };
}
