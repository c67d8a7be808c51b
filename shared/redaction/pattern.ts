import { RE2JS } from "re2js";

/** The largest product of nested counts that RE2 compiles. */
const MAX_REPEATS = 1_000;
/** Characters of a pattern, its counts multiplied out, that are compiled to see how large it gets: about 0.1 s. */
const MAX_UNFOLDED_CHARS = 50_000;
/** Instructions of RE2's machine. The time for a text grows with them at worst. */
const MAX_INSTRUCTIONS = 1_000;
/** A policy has 50 rules; two versions of it are in use at the same time. */
const MAX_CACHED = 100;

const cache = new Map<string, RE2JS>();

/** The pattern as a machine that matches in linear time, kept for the next text. @throws {Error} when RE2 cannot compile it */
export function compiled(pattern: string): RE2JS {
  const machine = cache.get(pattern) ?? RE2JS.compile(pattern);
  cache.delete(pattern);
  cache.set(pattern, machine);
  const [oldest] = cache.keys();
  if (cache.size > MAX_CACHED && oldest !== undefined) cache.delete(oldest);
  return machine;
}

/** What is wrong with a pattern, or null. */
export function patternProblem(pattern: string): string | null {
  const isTooLarge = `must be simpler: it unfolds to more than ${MAX_INSTRUCTIONS} steps`;
  if (unfoldedChars(pattern) > MAX_UNFOLDED_CHARS) return isTooLarge;
  try {
    return compiled(pattern).programSize() > MAX_INSTRUCTIONS ? isTooLarge : null;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, "") : "";
    return `must be a regular expression in RE2's syntax: ${reason}`;
  }
}

/** No less than the pattern's characters with every counted part written out, wherever the counts stand. */
function unfoldedChars(pattern: string): number {
  let repeats = 1;
  for (const [, least = "", comma = "", most = ""] of pattern.matchAll(/\{(\d+)(,?)(\d*)\}/g)) {
    repeats *= Math.max(1, Number(least) + comma.length, Number(most));
  }
  return pattern.length * Math.min(repeats, MAX_REPEATS);
}
