import type { EditRequest } from "../types.ts";
import { clauseOf, deniesOrChooses, type Made, noTarget, preferFamiliar, saysYesOrNo, uncertain } from "./text.ts";

/** One way to say a place; `opposite` excludes it, `near` excludes it where the question asks for the one right place. */
interface Place {
  readonly said: RegExp;
  readonly opposite: (match: readonly string[]) => readonly string[];
  readonly near: (match: readonly string[]) => readonly string[];
  /** `near` is false by itself, whatever was asked. */
  readonly nearIsSure: boolean;
}

const OTHER_SIDE: Readonly<Record<string, string>> = {
  left: "right",
  right: "left",
  top: "bottom",
  bottom: "top",
  upper: "lower",
  lower: "upper",
  above: "below",
  below: "above",
  over: "under",
  inside: "outside",
  outside: "inside",
  behind: "in front of",
  "in front of": "behind",
  front: "back",
  back: "front",
};
const other = (word = "") => OTHER_SIDE[word] ?? word;

const PLACES: readonly Place[] = [
  {
    said: /\b(top|bottom|upper|lower)([ -])(left|right)\b/,
    opposite: ([, row, gap, side]) => [`${other(row)}${gap}${other(side)}`],
    near: ([, row, gap, side]) => [`${other(row)}${gap}${side}`, `${row}${gap}${other(side)}`],
    nearIsSure: true,
  },
  {
    said: /\b((?:to|on) the )?(left|right)( side)? of (?!the (?:image|picture|photo|photograph|box|scene|frame)\b)/,
    opposite: ([, lead = "", side, tail = ""]) => [`${lead}${other(side)}${tail} of `],
    near: () => ["above ", "below "],
    nearIsSure: false,
  },
  {
    said: /\b(above|below)\b/,
    opposite: ([, word]) => [other(word)],
    near: () => ["left of", "right of", "to the left of", "to the right of"],
    nearIsSure: false,
  },
  {
    said: /\b(?:at|on|in) the (left|right|top|bottom|front|back)(?: side)?\b(?! of the (?!image|picture|photo|photograph|box|scene|frame)| corner)/,
    opposite: ([whole, side = ""]) => [(whole ?? "").replace(side, other(side))],
    near: () => ["in the middle"],
    nearIsSure: true,
  },
  { said: /\bon top of\b/, opposite: () => ["under"], near: () => ["next to"], nearIsSure: false },
  {
    said: /\b(in front of|behind)\b/,
    opposite: ([, word]) => [other(word)],
    near: () => ["next to"],
    nearIsSure: false,
  },
  { said: /\b(inside|outside)\b/, opposite: ([, word]) => [other(word)], near: () => ["next to"], nearIsSure: false },
  { said: /\b(?:under|underneath|beneath)\b/, opposite: () => ["on"], near: () => ["next to"], nearIsSure: false },
  { said: /\bover\b/, opposite: () => ["under"], near: () => ["next to"], nearIsSure: false },
  {
    said: /\bon (?=(?:the|a|an|his|her|its|their) )/,
    opposite: () => ["under "],
    near: () => ["next to "],
    nearIsSure: false,
  },
  {
    said: /\b(?:in|at) the (?:middle|cent(?:re|er))\b/,
    opposite: () => ["at the edge"],
    near: () => ["at the edge"],
    nearIsSure: true,
  },
  { said: /\b(?:next to|beside)\b/, opposite: () => ["far from"], near: () => ["far from"], nearIsSure: true },
];

const ASKS_WHERE = /\bwhere\b|\bwhat (?:position|side)\b/i;

/** Another place for the thing that the answer places: the opposite one, or a neighbouring one at level 3. */
export function editPosition(request: EditRequest): Made {
  const { answer, question, level } = request;
  const clause = clauseOf(answer);
  const start = clause.words[clause.predicate]?.start ?? 0;
  const claim = answer.slice(start).toLowerCase();
  const found = PLACES.flatMap((place) => {
    const match = place.said.exec(claim);
    return match ? [{ place, match }] : [];
  })[0];
  if (!found) return noTarget("place or relation");
  const where = ASKS_WHERE.test(question);
  if (saysYesOrNo(answer)) return uncertain("a yes or no hangs on it");
  if (deniesOrChooses(answer)) return uncertain("the answer denies something or leaves a choice");
  if (!clause.definite && !where) return uncertain("it does not speak of one known thing");

  const { place, match } = found;
  if (level === 3 && !place.nearIsSure && !where) return uncertain("a neighbouring relation can hold as well");
  const phrases = level === 3 ? place.near(match) : place.opposite(match);
  const before = answer.slice(0, start + match.index);
  const after = answer.slice(before.length + match[0].length);
  const lastWord = /\S*\s*$/.exec(before)?.[0] ?? "";
  return preferFamiliar(request, phrases, (phrase) => lastWord + phrase, true).map((phrase) => before + phrase + after);
}
