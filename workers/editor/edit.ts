import { conversation } from "../../shared/contracts/common.ts";
import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import {
  changedWords,
  type EditOutcome,
  type EditRequest,
  editBuiltin,
  editPrompt,
  templateOf,
} from "../../shared/edits/index.ts";
import { microsOf, type Prices, type Tokens } from "../../shared/edits/price.ts";
import { classify } from "../../shared/taxonomy/classify.ts";
import type { ErrorType, Level, Task } from "../../shared/taxonomy/taxonomy.ts";
import { ModelFailure } from "../model/chat.ts";
import { eachLimited } from "../model/each-limited.ts";
import { ModelHealth, type Switch } from "../model/health.ts";
import { OutOfFunds } from "../model/purse.ts";
import { isTransient } from "../store/db.ts";
import type { JobResult, QueuedJob } from "../store/jobs.ts";
import type { ModelEditor, ModelReply, Repair } from "./model.ts";
import { Novelty } from "./novelty.ts";
import { isSentinel, OWN } from "./sentinel.ts";

/** Calls to the model in flight at once, per message. */
const MODEL_CONCURRENCY = 4;
/** Answers to other questions of the task that the built-in editor may take its words from. */
const FAMILIAR_ANSWERS = 40;
const BUILTIN = "builtin";

export interface Edited {
  readonly results: readonly JobResult[];
  readonly switched: Switch | null;
  /** Jobs that the built-in editor did because no tokens or no money was left for the model. */
  readonly unpaid: number;
}

/** What the policy says of edits, what they cost, and the pairs they make. */
export type EditingPolicy = Pick<PolicyDocument, "editor" | "spending" | "pairs">;

/** What one job came to. */
interface Attempt {
  readonly outcome: EditOutcome;
  readonly editor: string;
  readonly origin: string;
}

/**
 * Edits all jobs of one message. The model works until it fails too often in a row, or may not be paid any more; each single
 * failure, and all that follows the last one, is done by the built-in editor. Whoever edits, the same ladder of checks decides.
 * @throws when the database fails for a reason that passes: the message is worth another try
 */
export async function editJobs(
  jobs: readonly QueuedJob[],
  model: ModelEditor | null,
  policy: EditingPolicy,
): Promise<Edited> {
  const health = new ModelHealth(model, policy.editor.modelFailuresToSwitch);
  const shop: Workshop = { health, novelty: new Novelty(jobs), policy, unpaid: new Set() };
  const results: JobResult[] = [];
  await eachLimited(jobs, model ? MODEL_CONCURRENCY : 1, async (job) => {
    const startedAt = Date.now();
    const meter = new Meter(policy.spending);
    const attempt = editJob(job, jobs, shop, meter);
    const ended = await attempt.then((made) => toResult(job, made, policy.pairs.sentinelShare), toFailure);
    results.push({ id: job.id, ...ended, ...meter.spent, durationMs: Date.now() - startedAt });
  });
  return { results, switched: health.switched, unpaid: shop.unpaid.size };
}

interface Workshop {
  readonly health: ModelHealth<ModelEditor>;
  readonly novelty: Novelty;
  readonly policy: EditingPolicy;
  /** Ids of jobs that the model could not be paid for. */
  readonly unpaid: Set<string>;
}

async function editJob(job: QueuedJob, jobs: readonly QueuedJob[], shop: Workshop, meter: Meter): Promise<Attempt> {
  const request = toRequest(job, jobs);
  const own = ownMistake(request);
  // The model's own mistake is known: nobody has to think of it.
  if (own) return { outcome: editBuiltIn(own, job, shop.novelty), editor: BUILTIN, origin: OWN };
  const made = await shop.health
    .attempt(async (model) => ({
      outcome: await editByModel(model, request, job, shop, meter),
      editor: model.name,
      origin: model.name,
    }))
    .catch((error: unknown) => {
      if (!(error instanceof OutOfFunds)) throw error;
      shop.unpaid.add(job.id);
      return null;
    });
  return made ?? { outcome: editBuiltIn(request, job, shop.novelty), editor: BUILTIN, origin: BUILTIN };
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
  const ask = (repair?: Repair) => meter.count(model.edit(prompt, policy.editor.modelTimeoutMs, repair));
  const first = await ask();
  const outcome = novelty.admit(job, request, first.rejected);
  if (outcome.ok) return outcome;
  const second = await ask({ rejected: first.rejected, refusal: outcome.message });
  return novelty.admit(job, request, second.rejected);
}

/** What a job has spent, on replies that were no use too. */
class Meter {
  readonly #prices: Prices;
  spent = { tokensIn: 0, tokensOut: 0, costMicros: 0 };

  constructor(prices: Prices) {
    this.#prices = prices;
  }

  async count(reply: Promise<ModelReply>): Promise<ModelReply> {
    try {
      const received = await reply;
      this.#add(received);
      return received;
    } catch (error) {
      if (error instanceof ModelFailure) this.#add(error.usage);
      throw error;
    }
  }

  #add(used: Tokens): void {
    this.spent = {
      tokensIn: this.spent.tokensIn + used.tokensIn,
      tokensOut: this.spent.tokensOut + used.tokensOut,
      costMicros: this.spent.costMicros + microsOf(used, this.#prices),
    };
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

type Ended = Pick<JobResult, "state" | "reason" | "editor" | "pair">;

function toResult(job: QueuedJob, { outcome, editor, origin }: Attempt, sentinelShare: number): Ended {
  if (!outcome.ok) return { state: "refused", reason: outcome.reason, editor, pair: null };
  const { rejected } = outcome;
  const { from, to } = changedWords(job.answer, rejected);
  const traits = { id: job.id, origin, task: job.task as Task, errorType: job.errorType as ErrorType };
  const template = templateOf(lastQuestion(job.conversation));
  const sentinel = isSentinel(traits, sentinelShare);
  const pair = { rejected, origin, template, spanFrom: from, spanTo: to, sentinel };
  return { state: "accepted", reason: null, editor, pair };
}

/**
 * An error of ours ends the one job: its message must not come back for ever because of it.
 * @throws the error of a database that is busy
 */
function toFailure(error: unknown): Ended {
  if (isTransient(error)) throw error;
  const reason = error instanceof Error ? error.name : "unknown error";
  return { state: "failed", reason, editor: BUILTIN, pair: null };
}
