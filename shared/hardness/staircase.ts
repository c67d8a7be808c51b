import type { SchedulerPolicy } from "../contracts/policy.ts";
import type { Level } from "../taxonomy/taxonomy.ts";

/** Whether the staircase steers a region: its key matches a pattern, any part of which may be `*`. */
export function isOnStaircase(key: string, patterns: readonly string[]): boolean {
  return staircaseOf(patterns)(key);
}

/** The same for many keys: a key is looked up once per set of parts that patterns leave open, however many patterns there are. */
export function staircaseOf(patterns: readonly string[]): (key: string) => boolean {
  if (patterns.length === 0) return () => false;
  const byOpenParts = Map.groupBy(patterns, (pattern) =>
    pattern
      .split("/")
      .map((part) => (part === "*" ? "*" : ""))
      .join("/"),
  );
  const shapes = [...byOpenParts].map(([shape, same]) => ({ open: shape.split("/"), known: new Set(same) }));
  return (key) => {
    const parts = key.split("/");
    return shapes.some(
      ({ open, known }) =>
        open.length === parts.length && known.has(parts.map((part, i) => (open[i] === "*" ? "*" : part)).join("/")),
    );
  };
}

/**
 * Where the staircase stands after a round in which `right` of `tried` fresh pairs at its level were judged rightly: a step up
 * above the policy's high accuracy, a step down below its low one, as far as levels are `offered` (rising).
 */
export function stairLevelAfter(
  level: Level,
  offered: readonly Level[],
  { tried, right }: { readonly tried: number; readonly right: number },
  policy: Pick<SchedulerPolicy, "staircaseLow" | "staircaseHigh">,
): Level {
  if (tried === 0) return level;
  const accuracy = right / tried;
  if (accuracy > policy.staircaseHigh) return offered.find((one) => one > level) ?? level;
  if (accuracy < policy.staircaseLow) return offered.findLast((one) => one < level) ?? level;
  return level;
}
