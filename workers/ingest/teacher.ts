import { conversation } from "../../shared/contracts/common.ts";
import { teacherPrompt } from "../../shared/prompts/teach.ts";
import type { Env } from "../env.ts";
import { describeError, logEvent } from "../http/log.ts";
import { type ChatModel, type ChatRequest, type Completion, chatModel, ModelFailure } from "../model/chat.ts";
import { eachLimited } from "../model/each-limited.ts";
import { ModelHealth } from "../model/health.ts";
import { paid } from "../model/paid.ts";
import { messagesOf, picturesOf } from "../model/pictures.ts";
import { OutOfFunds, Purse } from "../model/purse.ts";
import type { MetricRow } from "../store/metrics.ts";
import { currentPolicy } from "../store/policy.ts";
import { type FailureRow, noteAttempts, takeForTeacher } from "../store/review.ts";
import { sameAnswer } from "./judge.ts";
import { giveAnswer } from "./review.ts";
import { answerIn } from "./teacher-answer.ts";

export type TeacherEnv = Pick<Env, "DB" | "BLOBS" | "TEACHER_BASE_URL" | "TEACHER_MODEL" | "TEACHER_API_KEY">;

/** Events that the teacher is asked about in one run. */
export const TEACHER_PER_CRON = 20;
/** Questions in flight at once. */
const TEACHER_CONCURRENCY = 4;
/** For one question, with all that the endpoint is asked again for it; ms. */
const TEACHER_TIMEOUT_MS = 60_000;
/** Failures in a row after which the endpoint is left alone for the rest of the run. */
const TEACHER_FAILURES_TO_STOP = 3;
/** Attempts after which an event is left to people. */
export const TEACHER_ATTEMPTS_MAX = 2;
/** What an attempt counts that was spoilt by something that passes: an endpoint that is down, an image that is on its way. */
export const SPOILT_ATTEMPT = 1 / 32;
/** The endpoint does not take this very request: too long, or with a picture it cannot read. It would not take it next time. */
const REQUEST_REFUSED: ReadonlySet<string> = new Set([400, 413, 415, 422].map((status) => `status ${status}`));

export const TEACHER_ANSWERS_TOTAL = "nearmiss_teacher_answers_total";
/** `refused`: it said nothing that can be taken as the right answer. `failed`: it could not be asked. */
export const TEACHER_OUTCOMES = ["answered", "refused", "failed"] as const;
type Outcome = (typeof TEACHER_OUTCOMES)[number];

/** What came of one event: nothing when it was not asked about, or when somebody else answered it meanwhile. */
interface Lesson {
  readonly outcome: Outcome | null;
  /** What it counts as, in attempts. */
  readonly attempt: number;
}
const REFUSED: Lesson = { outcome: "refused", attempt: 1 };
const NOT_ASKED: Lesson = { outcome: null, attempt: 0 };
const SPOILT: Lesson = { outcome: null, attempt: SPOILT_ATTEMPT };
const TOO_LARGE: Lesson = { outcome: null, attempt: TEACHER_ATTEMPTS_MAX };

/** What one run did; for the log. */
export interface TeacherDone {
  readonly teacherAnswered: number;
  readonly teacherRefused: number;
  readonly teacherFailed: number;
  /** The class of the failure after which the endpoint was left alone. */
  readonly teacherStopped: string | null;
}

/**
 * Asks the configured teacher model for the right answers of some waiting events, and stores those that are good as a person's.
 * Two runs at once answer an event once.
 * @param timeoutMs for one question
 * @returns null without a teacher, or when the policy forbids it
 */
export async function teacherStep(
  env: TeacherEnv,
  nowMs: number,
  fetcher: typeof fetch,
  timeoutMs = TEACHER_TIMEOUT_MS,
): Promise<TeacherDone | null> {
  const { TEACHER_BASE_URL: baseURL, TEACHER_MODEL: model, TEACHER_API_KEY: apiKey } = env;
  const chat = chatModel({ baseURL, model, apiKey }, fetcher);
  if (!chat) return null;
  const { intake, spending } = (await currentPolicy(env.DB)).document;
  if (!intake.teacher) return null;
  const failures = await takeForTeacher(env.DB, {
    limit: TEACHER_PER_CRON,
    attemptsMax: TEACHER_ATTEMPTS_MAX,
    attempt: SPOILT_ATTEMPT,
  });
  const purse = new Purse(env.DB, spending);
  const health = new ModelHealth(paid(chat, purse), TEACHER_FAILURES_TO_STOP);
  const classroom: Classroom = { health, timeoutMs, nowMs };
  const lessons: (Lesson & { readonly id: string })[] = [];
  await eachLimited(failures, TEACHER_CONCURRENCY, async (failure) => {
    const lesson = await teach(env, failure, classroom).catch(toUntaught);
    lessons.push({ id: failure.id, ...lesson });
  });
  await purse.close();
  return note(env.DB, lessons, health.switched?.reason ?? null);
}

interface Classroom {
  readonly health: ModelHealth<ChatModel>;
  readonly timeoutMs: number;
  readonly nowMs: number;
}

async function teach(env: TeacherEnv, failure: FailureRow, classroom: Classroom): Promise<Lesson> {
  const { health, timeoutMs, nowMs } = classroom;
  if (health.switched) return NOT_ASKED;
  const prompt = teacherPrompt(conversation.parse(JSON.parse(failure.conversation)));
  const pictures = await picturesOf(env, prompt.pictures);
  if ("problem" in pictures) return pictures.problem === "missing" ? SPOILT : TOO_LARGE;
  if (health.switched) return NOT_ASKED;
  let failed: Lesson = { outcome: "failed", attempt: SPOILT_ATTEMPT };
  const said = await health.attempt(async (teacher) => {
    try {
      const completion = await ask(teacher, messagesOf(prompt, pictures.urls), timeoutMs);
      return { completion, by: `teacher:${teacher.name}` };
    } catch (error) {
      if (error instanceof ModelFailure && REQUEST_REFUSED.has(error.reason)) failed = { ...failed, attempt: 1 };
      throw error;
    }
  });
  if (!said) return failed;
  const answer = answerIn(said.completion);
  if (answer === null) return REFUSED;
  // The client said that the response is wrong: who is right is for a person to say.
  if (failure.verdict === "wrong" && sameAnswer(answer, failure.response)) return REFUSED;
  const stored = await giveAnswer(env.DB, failure, { answer, by: said.by }, nowMs);
  return stored ? { outcome: "answered", attempt: 0 } : NOT_ASKED;
}

/** @throws {ModelFailure} */
async function ask(teacher: ChatModel, messages: ChatRequest["messages"], timeoutMs: number): Promise<Completion> {
  const completion = await teacher.complete({ messages }, timeoutMs);
  if (completion.text === null && completion.finishReason === null) throw new ModelFailure("no reply", completion);
  return completion;
}

/**
 * An error of ours spoils the one event: the others are asked about all the same. Where the day's money is spent, the event waits
 * for another day.
 */
function toUntaught(error: unknown): Lesson {
  if (error instanceof OutOfFunds) return NOT_ASKED;
  logEvent("teacher-failed", describeError(error));
  return SPOILT;
}

/** Writes down what came of the events; each one counted as a spoilt attempt since it was taken. */
async function note(
  db: D1Database,
  lessons: readonly (Lesson & { readonly id: string })[],
  stopped: string | null,
): Promise<TeacherDone> {
  const count = (outcome: Outcome) => lessons.filter((lesson) => lesson.outcome === outcome).length;
  const attempts = lessons.map(({ id, attempt }) => ({ id, add: attempt - SPOILT_ATTEMPT }));
  const metrics = TEACHER_OUTCOMES.map((outcome): MetricRow => {
    return { name: TEACHER_ANSWERS_TOTAL, labels: `outcome="${outcome}"`, value: count(outcome) };
  });
  if (lessons.length > 0) await noteAttempts(db, attempts, metrics);
  return {
    teacherAnswered: count("answered"),
    teacherRefused: count("refused"),
    teacherFailed: count("failed"),
    teacherStopped: stopped,
  };
}
