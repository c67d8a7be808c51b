import type { RE2JS } from "re2js";
import type { Redaction } from "../contracts/policy.ts";
import { mapTexts, matchesPath, TEXT_FIELDS, type TextField } from "./fields.ts";
import { compiled } from "./pattern.ts";

/** Parts of one text that one rule replaces one by one. Finding each may take a look at the whole rest of the text. */
const MAX_PARTS = 500;
/** What stands for a needed text of which nothing would be left. */
const BLANKED = "[redacted]";

interface Rule {
  readonly path: readonly string[];
  readonly pattern: RE2JS;
  readonly replacement: string;
}

export interface Redacted<Event> {
  /** The same object when nothing was replaced. */
  readonly event: Event;
  /** Parts of texts that were replaced. */
  readonly replaced: number;
}

/**
 * Replaces what the rules describe, one after the other, in an event: only in its texts (`TEXT_FIELDS`), also
 * for `**`. A valid event stays valid: a needed text of which only blanks are left becomes `[redacted]`, one that outgrows its
 * limit is cut there. A text above its limit is left alone, since its event is refused. Two texts that differ only in what is
 * replaced become equal: whoever needs to know whether they differ compares them before.
 * @param rules a policy's, so that each is checked already
 */
export function redact<Event>(event: Event, rules: readonly Redaction[]): Redacted<Event> {
  if (rules.length === 0) return { event, replaced: 0 };
  const machines = rules.map(({ path, pattern, replacement }) => ({
    path: path.split("."),
    pattern: compiled(pattern),
    replacement,
  }));
  let replaced = 0;
  const result = TEXT_FIELDS.reduce<unknown>((current, field) => {
    const redactText = (text: string, path: readonly string[]) => {
      if (text.length > field.maxChars) return text;
      const changed = applyRules(text, path, machines);
      replaced += changed.replaced;
      return changed.replaced > 0 ? fitted(changed.text, field) : text;
    };
    return mapTexts(current, field.steps, redactText);
  }, event);
  // Texts became texts: the shape is the same.
  return { event: result as Event, replaced };
}

interface Replaced {
  readonly text: string;
  readonly replaced: number;
}

function applyRules(text: string, path: readonly string[], rules: readonly Rule[]): Replaced {
  let result: Replaced = { text, replaced: 0 };
  for (const rule of rules) {
    // Whether there is a match at all is told far faster than where it is, and most texts have none.
    if (!matchesPath(rule.path, path) || !rule.pattern.test(result.text)) continue;
    const { text: changed, replaced } = replaceAll(result.text, rule);
    result = { text: changed, replaced: result.replaced + replaced };
  }
  return result;
}

/** An empty match is not replaced. Of too many matches, the last one takes the rest of the text with it. */
function replaceAll(text: string, { pattern, replacement }: Rule): Replaced {
  const matcher = pattern.matcher(text);
  let result = "";
  let kept = 0;
  let replaced = 0;
  while (matcher.find()) {
    const [start, end] = [matcher.start(), matcher.end()];
    if (start === end) continue;
    result += text.slice(kept, start) + replacement;
    kept = end;
    replaced += 1;
    if (replaced === MAX_PARTS) return { text: result, replaced };
  }
  return { text: result + text.slice(kept), replaced };
}

function fitted(text: string, { maxChars, needsText }: TextField): string {
  if (needsText && !/\S/.test(text)) return BLANKED;
  if (text.length <= maxChars) return text;
  const cut = text.slice(0, maxChars);
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}
