import { NEGATORS } from "../lexicon.ts";
import { numberOf } from "../numbers.ts";
import { type Candidate, type Refusal, refuse } from "../types.ts";
import { uninflected, wordsOf } from "../words.ts";

/** Refuses what can be shown, from the two answers alone, to be no mistake or no answer; null if nothing shows it. */
export function checkRule({ answer, rejected }: Candidate): Refusal | null {
  const [right, wrong] = [claimOf(answer), claimOf(rejected)];
  const same = right.body.join(" ") === wrong.body.join(" ");
  if (same && right.verdict === wrong.verdict)
    return refuse("rule.still-true", "The edit says the same in other words.");
  if (same && wrong.verdict === null) return refuse("rule.still-true", "The edit only leaves out the yes or no.");
  const flips = denies(right.body) !== denies(wrong.body);
  const contradicts = wrong.verdict !== null && (same || (flips && right.verdict === wrong.verdict));
  if (contradicts) return refuse("rule.contradiction", `The edit says "${wrong.verdict}" and then the opposite.`);
  return null;
}

interface Claim {
  /** The "yes" or "no" before the statement. */
  readonly verdict: string | null;
  /** The statement in normal form. */
  readonly body: readonly string[];
}

const denies = (body: readonly string[]) => body.filter((word) => NEGATORS.has(word)).length % 2 === 1;

const SAME: ReadonlyMap<string, string> = new Map([
  ["large", "big"],
  ["larger", "bigger"],
  ["largest", "biggest"],
  ["little", "small"],
  ["gray", "grey"],
  ["color", "colour"],
  ["beneath", "under"],
  ["underneath", "under"],
  ["beside", "near"],
  ["a", "1"],
  ["0", "no"],
  ["any", "1"],
  ["center", "centre"],
  ["middle", "centre"],
]);
const EMPTY = new Set(["the", "there", "be", "it", "to", "exactly", "only", "just", "that", "this"]);

/** Relations by the words that name them, each with the one that says the same from the other side. */
const CONVERSES: readonly (readonly [readonly string[], readonly string[]])[] = [
  [
    ["right", "of"],
    ["left", "of"],
  ],
  [["below"], ["above"]],
  [["under"], ["above"]],
  [["behind"], ["in", "front", "of"]],
  [
    ["smaller", "than"],
    ["bigger", "than"],
  ],
  [
    ["shorter", "than"],
    ["taller", "than"],
  ],
  [
    ["younger", "than"],
    ["older", "than"],
  ],
];

function claimOf(text: string): Claim {
  const words = wordsOf(text);
  const first = words[0] ?? "";
  const verdict = words.length > 1 && (first === "yes" || first === "no") ? first : null;
  // "no dogs are here" starts with a determiner, "no, there are none" with a verdict: only the comma tells.
  const said = verdict !== null && (verdict === "yes" || /^\s*no\s*[,.;:–-]/i.test(text));
  const rest = said ? words.slice(1) : words;
  const body = rest
    .flatMap((word) => (word.endsWith("n't") ? [word.slice(0, -3), "not"] : [word]))
    .map(uninflected)
    .map((word) => String(numberOf(word) ?? word))
    .map((word) => SAME.get(word) ?? word)
    .filter((word) => !EMPTY.has(word));
  return { verdict: said ? verdict : null, body: oriented(joinNegation(body)) };
}

/** "not 1 dog" is "no dog". */
function joinNegation(body: readonly string[]): string[] {
  return body.flatMap((word, i) => {
    if (word === "not" && body[i + 1] === "1") return ["no"];
    return word === "1" && body[i - 1] === "not" ? [] : [word];
  });
}

/** The statement seen from the side that comes first in `CONVERSES` or in the alphabet: "b right of a" is "a left of b". */
function oriented(body: readonly string[]): readonly string[] {
  const than = body.indexOf("than");
  const head = body.findIndex((word) => word === "more" || word === "fewer" || word === "less");
  if (head >= 0 && than > head) {
    const [first, second] = [body.slice(head + 1, than), body.slice(than + 1)];
    const [more, less] = body[head] === "more" ? [first, second] : [second, first];
    return [...body.slice(0, head), "more", ...more, "than", ...less];
  }
  const as = body.findIndex((word, i) => word === "as" && (body[i + 1] === "many" || body[i + 1] === "much"));
  const second = body.indexOf("as", as + 1);
  if (as >= 0 && second > as) {
    const sides = [body.slice(as + 2, second).join(" "), body.slice(second + 1).join(" ")].sort();
    return [...body.slice(0, as), "as many", ...sides];
  }
  for (const [relation, converse] of CONVERSES) {
    const at = body.findIndex((_, i) => relation.every((word, k) => body[i + k] === word));
    if (at > 0 && at + relation.length < body.length) {
      return [...body.slice(at + relation.length), ...converse, ...body.slice(0, at)];
    }
  }
  return body;
}
