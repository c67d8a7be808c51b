import type { AlarmsPolicy } from "../../shared/contracts/policy.ts";
import { sentinelAlarm, type Twins } from "../../shared/hardness/alarms.ts";
import type { SentinelScore } from "../store/reports.ts";

export interface SentinelCheck {
  /** The scores of the round cannot be trusted. */
  readonly broken: boolean;
  /** Why the round may not be promoted, in one sentence. */
  readonly problem: string | null;
  /** Counts of sentinels, of a round that has any. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Whether the sentinels of a round and their twins mirror each other, under the reference and under the trained model. A trainer
 * may refuse some of them, as it may refuse other pairs; if none comes back scored, nothing speaks for its other scores.
 */
export function checkSentinels(
  lines: readonly SentinelScore[],
  policy: Pick<AlarmsPolicy, "sentinelAccuracy">,
): SentinelCheck {
  const all = [...Map.groupBy(lines, ({ pairId }) => pairId).values()];
  if (all.length === 0) return { broken: false, problem: null, metrics: {} };
  const pairs = all.filter((pair) => pair.every(({ refused }) => refused === 0));
  const refused = all.length - pairs.length;
  const alarms = [gapBefore, gapAfter].map((gapOf) =>
    sentinelAlarm(
      pairs.flatMap((pair) => twinsOf(pair, gapOf)),
      policy,
    ),
  );
  const scored = Math.min(...alarms.map(({ twins }) => twins));
  const metrics = {
    sentinels: all.length,
    sentinelsMirrored: Math.min(...alarms.map(({ mirrored }) => mirrored)),
    ...(refused > 0 && { sentinelsRefused: refused }),
  };
  if (scored === 0) {
    const problem = `none of ${all.length} sentinels was scored, ${refused} were refused: nothing proves the scoring.`;
    return { broken: true, problem, metrics };
  }
  const untold =
    scored < pairs.length ? `${pairs.length - scored} of ${pairs.length} sentinels were not scored.` : null;
  return {
    broken: alarms.some(({ on }) => on),
    problem: alarms.find(({ on }) => on)?.sentence ?? untold,
    metrics,
  };
}

type GapOf = (line: SentinelScore) => number | null;
const gapBefore: GapOf = ({ chosenBefore, rejectedBefore }) => difference(chosenBefore, rejectedBefore);
const gapAfter: GapOf = ({ chosenAfter, rejectedAfter }) => difference(chosenAfter, rejectedAfter);

function difference(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a - b;
}

function twinsOf(pair: readonly SentinelScore[], gapOf: GapOf): Twins[] {
  const [gap, swapped] = ([0, 1] as const).map((side) => {
    const line = pair.find((one) => one.swapped === side);
    return line ? gapOf(line) : null;
  });
  return gap == null || swapped == null ? [] : [{ gap, swapped }];
}
