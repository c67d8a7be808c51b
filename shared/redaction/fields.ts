import { LIMITS } from "../contracts/common.ts";

/** A step of a field's path: a name, or one of these. */
const ANY_INDEX = "#";
const ANY_NAME = "?";

export interface TextField {
  readonly steps: readonly string[];
  readonly maxChars: number;
  /** An event with a blank text there is not valid. */
  readonly needsText: boolean;
}

/**
 * Where an event holds text. Nothing else is ever replaced: not ids, hashes, times, models, task and language, nor the names
 * of tags and settings.
 */
export const TEXT_FIELDS: readonly TextField[] = [
  field("response", LIMITS.textChars, true),
  field("correction", LIMITS.textChars, true),
  field("reference", LIMITS.textChars, true),
  field("responses.#.text", LIMITS.textChars, true),
  field("conversation.#.content.#.text", LIMITS.textChars, false),
  field("reason", LIMITS.reasonChars, false),
  field("tags.?", LIMITS.tagChars, false),
  field("decoding.?", LIMITS.tagChars, false),
];

function field(path: string, maxChars: number, needsText: boolean): TextField {
  return { steps: path.split("."), maxChars, needsText };
}

/** Whether a rule's path, `*` for any one step and `**` for any number of them, matches the path of a text. */
export function matchesPath(rule: readonly string[], path: readonly string[]): boolean {
  return matches(rule, path, (step, name) => step === name);
}

/** Whether there is an event with a text at the rule's path. */
export function reachesText(path: string): boolean {
  const rule = path.split(".");
  return TEXT_FIELDS.some(({ steps }) => matches(rule, steps, (step, place) => fits(place, step)));
}

function matches(
  rule: readonly string[],
  path: readonly string[],
  isSame: (step: string, name: string) => boolean,
): boolean {
  // ends[i]: the rule's steps so far match the first i steps of the path.
  let ends = [true, ...path.map(() => false)];
  for (const step of rule) {
    let isWithin = false;
    ends = ends.map((reached, end) => {
      const name = path[end - 1];
      if (step === "**") {
        isWithin ||= reached;
        return isWithin;
      }
      return name !== undefined && (ends[end - 1] ?? false) && (step === "*" || isSame(step, name));
    });
  }
  return ends.at(-1) ?? false;
}

function fits(place: string, name: string): boolean {
  if (place === ANY_INDEX) return /^\d{1,4}$/.test(name);
  return place === ANY_NAME ? name !== "" : place === name;
}

/**
 * The value with every text at these steps put through `change`; the same value when that changes none. What does not have
 * the shape of an event stays as it is.
 */
export function mapTexts(
  value: unknown,
  steps: readonly string[],
  change: (text: string, path: readonly string[]) => string,
  path: readonly string[] = [],
): unknown {
  const step = steps[path.length];
  if (step === undefined) return typeof value === "string" ? change(value, path) : value;
  if (typeof value !== "object" || value === null || Array.isArray(value) !== (step === ANY_INDEX)) return value;
  if (!Array.isArray(value) && step !== ANY_NAME && !Object.hasOwn(value, step)) return value;
  let isChanged = false;
  const entries = Object.entries(value).map(([name, before]) => {
    if (!fits(step, name)) return [name, before] as const;
    const after = mapTexts(before, steps, change, [...path, name]);
    isChanged ||= after !== before;
    return [name, after] as const;
  });
  if (!isChanged) return value;
  return Array.isArray(value) ? entries.map(([, entry]) => entry) : Object.fromEntries(entries);
}
