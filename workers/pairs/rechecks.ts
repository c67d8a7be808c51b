import { conversation } from "../../shared/contracts/common.ts";
import { numbered } from "../../shared/prompts/numbered.ts";
import { changedClaims } from "../../shared/prompts/recheck.ts";
import type { Env } from "../env.ts";
import { describeError, logEvent } from "../http/log.ts";
import { type ChatModel, chatModel } from "../model/chat.ts";
import { eachLimited } from "../model/each-limited.ts";
import { ModelHealth } from "../model/health.ts";
import { paid } from "../model/paid.ts";
import { picturesOf } from "../model/pictures.ts";
import { OutOfFunds, Purse } from "../model/purse.ts";
import { currentPolicy } from "../store/policy.ts";
import {
  decideRecheck,
  leaveAllToPeople,
  leaveToPeople,
  type QueuedRecheck,
  takeRechecks,
  untakeRecheck,
} from "../store/rechecks.ts";
import { type Opinion, opinionOn } from "./claims.ts";

export type RecheckEnv = Pick<
  Env,
  "DB" | "BLOBS" | "JUDGE_BASE_URL" | "JUDGE_MODEL" | "JUDGE_API_KEY" | "EDITOR_BASE_URL" | "EDITOR_MODEL"
>;

/** Pairs that the judge is asked about in one sweep. */
export const RECHECKS_PER_CRON = 20;
/** Pairs in question at once; each has two calls in flight. */
const RECHECK_CONCURRENCY = 2;
/** For one call, with all that the endpoint is asked again for it; ms. */
const JUDGE_TIMEOUT_MS = 60_000;
/** Failures in a row after which the endpoint is left alone for the rest of the sweep. */
const JUDGE_FAILURES_TO_STOP = 3;
/** Attempts after which a check is left to people. */
export const RECHECK_ATTEMPTS_MAX = 5;
/** Checks that one sweep leaves to people where there is no judge. */
const LEFT_AT_ONCE = 1_000;

/** `failed`: the judge gave no reply; the check comes again. `left`: it cannot be asked about this pair, or failed too often. */
type Outcome = Opinion | "failed" | "left";

/** What one sweep did; for the log. */
export interface RechecksDone {
  readonly rechecksValid: number;
  readonly rechecksInvalid: number;
  /** Left to people: the judge was not sure, could not be asked, or failed too often. */
  readonly rechecksWaiting: number;
  readonly rechecksFailed: number;
}

/**
 * Has doubted pairs checked again by the configured judge, a bounded number at once. It decides where it is sure; all others wait
 * for a person, as all do without a judge. Two sweeps at once decide a pair once.
 * @param timeoutMs for one call
 */
export async function sweepRechecks(
  env: RecheckEnv,
  now: number,
  fetcher: typeof fetch = fetch,
  timeoutMs = JUDGE_TIMEOUT_MS,
): Promise<RechecksDone> {
  const chat = configuredJudge(env, fetcher);
  if (!("name" in chat)) {
    const left = await leaveAllToPeople(env.DB, chat.problem, LEFT_AT_ONCE);
    return { rechecksValid: 0, rechecksInvalid: 0, rechecksWaiting: left, rechecksFailed: 0 };
  }
  const { spending } = (await currentPolicy(env.DB)).document;
  const purse = new Purse(env.DB, spending);
  const court: Court = { health: new ModelHealth(paid(chat, purse), JUDGE_FAILURES_TO_STOP), timeoutMs, now };
  const outcomes: (Outcome | null)[] = [];
  try {
    await eachLimited(await takeRechecks(env.DB, RECHECKS_PER_CRON), RECHECK_CONCURRENCY, async (recheck) => {
      outcomes.push(await check(env, recheck, court).catch((error) => ofError(env.DB, recheck, error)));
    });
  } finally {
    await purse.close();
  }
  const count = (...wanted: Outcome[]) => outcomes.filter((outcome) => outcome && wanted.includes(outcome)).length;
  return {
    rechecksValid: count("valid"),
    rechecksInvalid: count("invalid"),
    rechecksWaiting: count("unsure", "left"),
    rechecksFailed: count("failed"),
  };
}

interface Court {
  readonly health: ModelHealth<ChatModel>;
  readonly timeoutMs: number;
  /** ms */
  readonly now: number;
}

/** The judge, or why there is none. The model that wrote the wrong answers is no judge of them. */
function configuredJudge(env: RecheckEnv, fetcher: typeof fetch): ChatModel | { readonly problem: string } {
  const { JUDGE_BASE_URL: baseURL, JUDGE_MODEL: model, JUDGE_API_KEY: apiKey } = env;
  const chat = chatModel({ baseURL, model, apiKey }, fetcher);
  if (!chat) return { problem: "no judge is configured" };
  const isEditor = model === env.EDITOR_MODEL && addressOf(baseURL) === addressOf(env.EDITOR_BASE_URL);
  return isEditor ? { problem: "the configured judge is the editor's own model" } : chat;
}

/** One address in one spelling, without its credentials. */
function addressOf(baseURL: string | undefined): string {
  const url = URL.parse(baseURL ?? "");
  return url ? `${url.origin}${url.pathname.replace(/\/+$/, "")}` : (baseURL ?? "");
}

/** @returns null when the judge was not asked */
async function check(env: RecheckEnv, recheck: QueuedRecheck, court: Court): Promise<Outcome | null> {
  const { health, timeoutMs } = court;
  if (health.switched) return notAsked(env.DB, recheck);
  const turns = conversation.parse(JSON.parse(recheck.conversation));
  const pictures = await picturesOf(env, numbered(turns).pictures);
  if ("problem" in pictures) return left(env.DB, recheck, `its pictures are ${pictures.problem}`);
  if (health.switched) return notAsked(env.DB, recheck);
  const claims = changedClaims(recheck.chosen, recheck.rejected);
  const said = await health.attempt(async (judge) => ({
    opinion: await opinionOn(judge, { conversation: turns, claims, urls: pictures.urls }, timeoutMs),
    by: `judge:${judge.name}`,
  }));
  if (said) return conclude(env.DB, recheck, said, court.now);
  return failed(env.DB, recheck);
}

/** The check comes again, unless it came often enough. */
async function failed(db: D1Database, recheck: QueuedRecheck): Promise<Outcome> {
  if (recheck.attempts < RECHECK_ATTEMPTS_MAX) return "failed";
  return left(db, recheck, `${recheck.attempts} attempts to ask the judge failed`);
}

async function conclude(
  db: D1Database,
  { id, pairId }: QueuedRecheck,
  { opinion, by }: { readonly opinion: Opinion; readonly by: string },
  at: number,
): Promise<Outcome | null> {
  if (opinion === "unsure") {
    await leaveToPeople(db, id, "the judge is not sure", by);
    return "unsure";
  }
  const reason =
    opinion === "valid"
      ? "checked again: the right answer holds and the wrong one does not"
      : "checked again: the wrong answer holds and the right one does not";
  const audit = { actor: by, action: "pair.recheck", subject: pairId, details: { verdict: opinion }, at };
  return (await decideRecheck(db, id, opinion, reason, audit)) ? opinion : null;
}

async function left(db: D1Database, { id }: QueuedRecheck, reason: string): Promise<Outcome> {
  await leaveToPeople(db, id, reason, null);
  return "left";
}

async function notAsked(db: D1Database, { id }: QueuedRecheck): Promise<null> {
  await untakeRecheck(db, id);
  return null;
}

/** An error of ours spoils the one check, which comes again; where the day's money is spent, it waits for another day. */
async function ofError(db: D1Database, recheck: QueuedRecheck, error: unknown): Promise<Outcome | null> {
  if (error instanceof OutOfFunds) return notAsked(db, recheck);
  logEvent("recheck-failed", describeError(error));
  return failed(db, recheck);
}
