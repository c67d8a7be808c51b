import type { PolicyDocument, SchedulerPolicy } from "../contracts/policy.ts";
import { DAY_MS } from "../time.ts";
import type { RegionState } from "./state.ts";

/** What the backlog of one region could teach: its failures per tick, the gain of its pairs (0 to about 1), and how many wait. */
export interface Waiting extends Pick<RegionState, "failureMass" | "backlog"> {
  readonly gain: number;
}

/**
 * Failures per tick that training on everything that waits is expected to avoid: over the regions, failure mass times gain
 * times 1 - exp(-backlog / backlogScalePairs). It is the integral of what plans take the next pair to be worth, so that
 * starting a round and ordering edits go by one curve. It is no forecast: the gain says how much a pair can teach where
 * the region stands, not how many failures it was seen to avoid, and what training does to other regions is left out.
 */
export function expectedFixes(
  regions: readonly Waiting[],
  { backlogScalePairs }: Pick<SchedulerPolicy, "backlogScalePairs">,
): number {
  return regions.reduce(
    (sum, { failureMass, gain, backlog }) =>
      sum + failureMass * Math.max(0, gain) * -Math.expm1(-Math.max(0, backlog) / backlogScalePairs),
    0,
  );
}

export interface RoundChance {
  /** Pairs that a round could train on. */
  readonly ready: number;
  /** When the last round ended, ms; null if there was none, and then one is overdue. */
  readonly lastRoundAt: number | null;
  /** ms */
  readonly now: number;
  /** Failures per tick: see `expectedFixes`. */
  readonly fixes: number;
  /** Somebody asked for a round. */
  readonly demand: boolean;
}

export interface RoundDecision {
  readonly start: boolean;
  /** One sentence with the numbers that decided. */
  readonly reason: string;
}

type TriggerPolicy = Pick<PolicyDocument, "batch" | "training">;

/**
 * Whether a round starts now. On demand, one pair is enough. By itself a round needs `training.minPairs`, even when it is overdue:
 * a few dozen pairs cost a machine and a gate that cannot tell what they changed. Above that it starts at `batch.startPairs`,
 * when enough failures are expected to be avoided, or when the last round is `batch.startAfterDays` ago.
 */
export function roundDue(
  { ready, lastRoundAt, now, fixes, demand }: RoundChance,
  policy: TriggerPolicy,
): RoundDecision {
  const { startPairs, startFixes, startAfterDays } = policy.batch;
  const { minPairs } = policy.training;
  const days = lastRoundAt === null ? Number.POSITIVE_INFINITY : (now - lastRoundAt) / DAY_MS;
  const overdue = days >= startAfterDays;
  const since = lastRoundAt === null ? "there was no round yet" : `the last round was ${days.toFixed(1)} days ago`;
  const limit = `one is due after ${startAfterDays} days`;
  const pairs = ready === 1 ? "1 pair is ready" : `${ready} pairs are ready`;
  const answer = (start: boolean, reason: string): RoundDecision => ({ start, reason });

  if (ready === 0) return answer(false, "No pair is ready.");
  if (demand) return answer(true, `A round was asked for, and ${pairs}.`);
  if (ready < minPairs) {
    const rule = `a round starts by itself with ${minPairs} or more`;
    return answer(false, overdue ? `Though ${since}, only ${pairs}; ${rule}.` : `Only ${pairs}; ${rule}.`);
  }
  if (ready >= startPairs) return answer(true, `${pairs}, and a round starts with ${startPairs} in any case.`);
  const expected = `training on them is expected to avoid ${fixes.toFixed(1)} failures per tick`;
  if (fixes >= startFixes) return answer(true, `${pairs}, and ${expected}: ${startFixes} are enough.`);
  if (overdue) return answer(true, `${pairs}, and ${since}: ${limit}.`);
  return answer(
    false,
    `${pairs}, and a round starts with ${startPairs}; ${expected}, and ${startFixes} are enough; ${since}, and ${limit}.`,
  );
}
