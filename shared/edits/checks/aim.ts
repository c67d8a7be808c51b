import type { ErrorType } from "../../taxonomy/taxonomy.ts";
import type { Span } from "../diff.ts";
import { kindsOf, someKind, type WordKind } from "../kinds.ts";
import { numberOf } from "../numbers.ts";
import { type Refusal, refuse } from "../types.ts";
import { uninflected } from "../words.ts";

/** The changed spans, and the words of all of them, taken out and put in. */
interface Change {
  readonly spans: readonly Span[];
  readonly out: readonly string[];
  readonly in: readonly string[];
}

/** Refuses an edit whose changed words are not of the type that was asked for; null if they are. */
export function checkAim(spans: readonly Span[], errorType: ErrorType): Refusal | null {
  const change: Change = { spans, out: spans.flatMap((s) => s.from), in: spans.flatMap((s) => s.to) };
  const problem = AIMS[errorType](change);
  return problem ? refuse("aim.type", `Asked for ${errorType}, but ${problem}.`) : null;
}

/** A sentence's end that says what is wrong, or null. */
type Aim = (change: Change) => string | null;

const content = (words: readonly string[]) => words.filter((word) => !kindsOf(word).includes("function"));

/** Every side that has content words must have one of these kinds, and one side must have some. */
function carries(...kinds: readonly WordKind[]): Aim {
  return (change) => {
    const sides = [content(change.out), content(change.in)].filter((side) => side.length > 0);
    if (sides.length === 0) return "only function words changed";
    const lacking = sides.find((side) => !someKind(side, ...kinds));
    return lacking ? `"${lacking.join(" ")}" is not of that kind` : null;
  };
}

/** One side at least has a word of the kinds: "on the table" can become "next to it". */
function touches(...kinds: readonly WordKind[]): Aim {
  return (change) =>
    someKind([...change.out, ...change.in], ...kinds) ? null : `no ${kinds.join(" or ")} word changed`;
}

const amount = (words: readonly string[]) =>
  words.map((word) => (word === "no" ? 0 : isArticle(word) ? 1 : numberOf(word))).find((n) => n !== undefined);

function counts(fits: (difference: number) => boolean, wanted: string): Aim {
  return (change) => {
    const [before, after] = [amount(change.out), amount(change.in)];
    if (before === undefined || after === undefined) return "no number became another one";
    return fits(Math.abs(after - before)) ? null : `${before} became ${after}, which is not ${wanted}`;
  };
}

const isArticle = (word: string) => word === "a" || word === "an";

/** Half of the words at least that were taken out in one place come back in another; words that only agree do not count. */
const swaps: Aim = ({ spans }) => {
  const placed = (side: "from" | "to", other: "from" | "to") =>
    spans.flatMap((span, i) =>
      span[side].flatMap((raw, k) => {
        const word = uninflected(raw);
        const stays = uninflected(span[other][k] ?? "") === word;
        return stays || (content([raw]).length === 0 && !isArticle(raw)) ? [] : [{ word, place: `${i}.${k}` }];
      }),
    );
  const [out, back] = [placed("from", "to"), placed("to", "from")];
  const moved = out.filter((a) => back.some((b) => a.word === b.word && a.place !== b.place)).length;
  return moved > 0 && 2 * moved >= Math.min(out.length, back.length) ? null : "no two spans changed places";
};

const both =
  (...aims: readonly Aim[]): Aim =>
  (change) =>
    aims.map((aim) => aim(change)).find((problem) => problem !== null) ?? null;

const adds: Aim = (change) => (someKind(change.in, "object", "open") ? null : "no new thing is named");
const omits: Aim = (change) => (change.out.length > change.in.length ? null : "nothing was left out");
const anything: Aim = () => null;

const AIMS: Readonly<Record<ErrorType, Aim>> = {
  "existence-add": adds,
  "existence-omit": both(omits, carries("object", "open", "polarity", "number")),
  "position-inversion": touches("relation"),
  "count-near": counts((d) => d === 1, "one more or less"),
  "count-far": counts((d) => d >= 2, "two or more away"),
  attribute: carries("attribute", "quantity", "comparison", "open", "action"),
  "attribute-swap": swaps,
  "role-swap": swaps,
  action: carries("action", "open"),
  "comparison-inversion": touches("comparison"),
  negation: touches("polarity"),
  "text-misread": anything,
  "temporal-order": touches("time"),
  identity: carries("object", "open", "quantity"),
  scene: carries("open", "object", "attribute", "action"),
  knowledge: carries("open", "object", "number", "attribute"),
  "reasoning-step": anything,
  "language-slip": anything,
};
