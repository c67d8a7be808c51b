import { nounOf, someKind } from "../kinds.ts";
import { FAMILIES, type Family, familyOf, NOUNS } from "../lexicon.ts";
import { type EditRequest, refuse } from "../types.ts";
import type { Word } from "../words.ts";
import { pluralOf } from "./nouns.ts";
import {
  atLevel,
  type Clause,
  clauseOf,
  deniesOrChooses,
  type Made,
  noTarget,
  patched,
  preferFamiliar,
  replaceWord,
  saysYesOrNo,
  uncertain,
} from "./text.ts";

/** Why the value that a clause gives its subject cannot be exchanged with certainty; undefined if it can. */
function doubt(request: EditRequest, clause: Clause, asked: RegExp): string | undefined {
  if (saysYesOrNo(request.answer)) return "a yes or no hangs on it";
  if (deniesOrChooses(request.answer)) return "the answer denies something or leaves a choice";
  if (!clause.definite && !asked.test(request.question)) return "it does not speak of one known thing";
  return undefined;
}

/** True if nothing stands between "is" and the word but articles, degrees and attributes: it is said of the subject itself. */
function isDirect({ words, predicate }: Clause, place: number): boolean {
  return words
    .slice(predicate, place)
    .every(({ text }) => text.endsWith("ly") || someKind([text], "function", "attribute"));
}

/** True if the word at `place` ends its phrase: "a car." and "a car on ...", not "a car park". */
function endsPhrase(answer: string, words: readonly Word[], place: number): boolean {
  const [word, next] = [words[place], words[place + 1]];
  if (!word || !next) return true;
  return /\S/.test(answer.slice(word.end, next.start)) || someKind([next.text], "function", "relation", "time");
}

const ASKS_ATTRIBUTE = /\b(?:colou?r|size|shape|material|made of|how (?:big|large|small|tall|long|old))\b/i;
const ASKS_ACTION = /\bdoing\b/i;
const ASKS_IDENTITY =
  /\b(?:what|which) (?:shape|kind|type|sort|animal|vehicle|fruit|food|sport|object)\b|\bwhat is (?:this|that|it)\b/i;

/** Another colour, size, material or state of the thing that the answer speaks of. */
export function editAttribute(request: EditRequest): Made {
  const wanted = request.task === "colour" || request.task === "size" ? request.task : undefined;
  return exchange(
    request,
    (family) => family.kind === "attribute" && (wanted !== "colour" || family.name === wanted),
    ASKS_ATTRIBUTE,
  );
}

/** Another posture or movement of the one who acts. */
export function editAction(request: EditRequest): Made {
  return exchange(request, (family) => family.kind === "action", ASKS_ACTION);
}

function exchange(request: EditRequest, fits: (family: Family) => boolean, asked: RegExp): Made {
  const clause = clauseOf(request.answer);
  const { words } = clause;
  const place = words.findIndex(
    ({ text }, i) => i >= clause.predicate && FAMILIES.some((f) => fits(f) && familyOf(text) === f),
  );
  const word = words[place]?.text ?? "";
  const family = familyOf(word);
  if (!family) return noTarget("value");
  const why = doubt(request, clause, asked);
  if (why) return uncertain(why);
  if (!isDirect(clause, place) && !asked.test(request.question))
    return uncertain("it is not said of the subject itself");
  // "an orange", "the dark": here the word is a noun.
  const before = words[place - 1]?.text ?? "";
  if (/^(?:an?|the)$/.test(before) && endsPhrase(request.answer, words, place)) return noTarget("value");
  const others = family.common.filter((other) => gap(family, word, other) >= family.apart);
  const near = atLevel(preferFamiliar(request, others, String), request.level, (other) => gap(family, word, other));
  return near.map((other) => patched(request.answer, replaceWord(words, place, other)));
}

/** Euclidean distance of two members in their family's space. */
function gap(family: Family, a: string, b: string): number {
  const [from, to] = [family.places.get(a) ?? [], family.places.get(b) ?? []];
  return Math.hypot(...from.map((x, i) => x - (to[i] ?? 0)));
}

/** Another thing, kind or shape than the one the answer names after "is". */
export function editIdentity(request: EditRequest): Made {
  const clause = clauseOf(request.answer);
  const { words } = clause;
  const place = words.findIndex(({ text }, i) => i >= clause.predicate && nounOf(text) !== undefined);
  const named = nounOf(words[place]?.text ?? "");
  const thing = named && NOUNS.get(named.singular);
  if (!named || !thing) return noTarget("noun of a known kind");
  const why = doubt(request, clause, ASKS_IDENTITY);
  if (why) return uncertain(why);
  if (!isDirect(clause, place)) return uncertain("it is not said of the subject itself");
  const isCompound = words[place - 1]?.text === "hot" || !endsPhrase(request.answer, words, place);
  if (isCompound) return noTarget("noun that stands alone");
  const steps = (noun: string) => {
    const other = NOUNS.get(noun);
    return other?.category !== thing.category ? 3 : other.group !== thing.group ? 2 : 1;
  };
  // "The man is a boy" must not become "The man is a man".
  const said = new Set(words.map(({ text }) => nounOf(text)?.singular));
  const others = [...NOUNS.keys()].filter((noun) => !said.has(noun));
  const within = others.filter((noun) => (request.level === 1) === (steps(noun) === 3));
  if (within.length === 0) return refuse("cannot.level", "The lexicon has no other thing of this category.");
  const known = preferFamiliar(request, within, (noun) => (named.plural ? pluralOf(noun) : noun));
  const chosen = request.level === 1 ? known : atLevel(known, request.level, steps);
  return chosen.map((noun) => patched(request.answer, replaceWord(words, place, named.plural ? pluralOf(noun) : noun)));
}
