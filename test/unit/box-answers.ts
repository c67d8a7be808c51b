import type { Task } from "../../shared/taxonomy/taxonomy.ts";

/** A question about a box of coloured shapes with its right answer, in the wording of the worlds. */
interface Template {
  readonly task: Task;
  readonly question: string;
  readonly answer: string;
}

const NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const MORE_NUMBERS = [...NUMBERS, "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"];
const COLOURS = ["black", "yellow", "blue"];
const SHAPES = ["circle", "square", "triangle"];
const SIZES = ["small", "medium", "big"];
const RANKS = ["biggest object", "smallest object", "object at the top", "object at the bottom", "object"];
const KINDS = [
  ...COLOURS.map((c) => `${c} object`),
  ...SHAPES,
  ...COLOURS.flatMap((c) => SHAPES.map((s) => `${c} ${s}`)),
];
const RELATIONS = ["left of", "right of", "above", "below"];
const CORNERS = ["top left", "top right", "bottom left", "bottom right"];

const pairsOf = (items: readonly string[]) =>
  items.flatMap((a) => items.flatMap((b) => (a === b ? [] : [[a, b] as const])));

/** Every answer of the worlds' templates, up to which thing is named. */
export const TEMPLATES: readonly Template[] = [
  ...["object", ...KINDS].flatMap((kind) =>
    NUMBERS.map((n) => ({
      task: "counting" as const,
      question: `How many ${kind}s are there?`,
      answer: n === "one" ? `There is one ${kind}.` : `There are ${n} ${kind}s.`,
    })),
  ),
  ...[...RANKS, ...SHAPES, ...SIZES.flatMap((z) => SHAPES.map((s) => `${z} ${s}`))].flatMap((name) =>
    COLOURS.map((c) => ({
      task: "colour" as const,
      question: `What colour is the ${name}?`,
      answer: `The ${name} is ${c}.`,
    })),
  ),
  ...["object", ...KINDS].flatMap((name) =>
    SIZES.map((z) => ({
      task: "size" as const,
      question: `What size is the ${name}?`,
      answer: `The ${name} is ${z}.`,
    })),
  ),
  ...[
    ...RANKS,
    ...COLOURS.map((c) => `${c} object`),
    ...SIZES.flatMap((z) => COLOURS.map((c) => `${z} ${c} object`)),
  ].flatMap((name) =>
    SHAPES.map((s) => ({
      task: "object" as const,
      question: `What shape is the ${name}?`,
      answer: `The ${name} is a ${s}.`,
    })),
  ),
  ...KINDS.flatMap((kind) => [
    { task: "existence" as const, question: `Is there a ${kind}?`, answer: `Yes, there is a ${kind}.` },
    { task: "existence" as const, question: `Is there a ${kind}?`, answer: `No, there is no ${kind}.` },
  ]),
  ...pairsOf(COLOURS.flatMap((c) => SHAPES.map((s) => `${c} ${s}`))).flatMap(([a, b]) =>
    RELATIONS.map((r) => ({
      task: "spatial" as const,
      question: `Where is the ${a} relative to the ${b}?`,
      answer: `The ${a} is ${r} the ${b}.`,
    })),
  ),
  ...COLOURS.flatMap((c) =>
    SHAPES.flatMap((s) =>
      CORNERS.map((corner) => ({
        task: "spatial" as const,
        question: `Where in the box is the ${c} ${s}?`,
        answer: `The ${c} ${s} is at the ${corner}.`,
      })),
    ),
  ),
  ...[...pairsOf(COLOURS.map((c) => `${c} objects`)), ...pairsOf(SHAPES.map((s) => `${s}s`))].flatMap(([a, b]) =>
    [`more ${a} than`, `fewer ${a} than`, `as many ${a} as`].map((said) => ({
      task: "comparison" as const,
      question: `Are there more ${a} or more ${b}?`,
      answer: `There are ${said} ${b}.`,
    })),
  ),
];

/** What an answer claims. Facts of one kind about one subject exclude each other when their values differ. */
export type Fact =
  | { readonly about: "number"; readonly of: string; readonly n: number }
  | { readonly about: "value"; readonly of: string; readonly value: string; readonly sort: "colour" | "size" | "thing" }
  | { readonly about: "presence"; readonly of: string; readonly there: boolean }
  | { readonly about: "place"; readonly of: string; readonly value: string }
  | { readonly about: "order"; readonly of: string; readonly sign: number };

const OPPOSITE: Readonly<Record<string, string>> = { left: "right", right: "left", above: "below", below: "above" };

/** A fact, or that it does not hold. */
export type Claim = Fact & { readonly denied?: true };

/**
 * Reads a sentence of the worlds' grammar or its denial, agreement included.
 * @throws {Error} for a sentence that is neither
 */
export function factOf(sentence: string): Claim {
  if (/ (?:is|are) not /.test(sentence)) return { ...factOf(sentence.replace(" not ", " ")), denied: true };
  const noun = "((?:small |medium |big )?(?:black |yellow |blue )?(?:object|circle|square|triangle))";
  const read = (pattern: string) => new RegExp(`^${pattern}\\.$`).exec(sentence)?.slice(1);
  const one = read(`There is one ${noun}`);
  if (one) return { about: "number", of: one[0] ?? "", n: 1 };
  const none = read(`There is no ${noun}`);
  if (none) return { about: "number", of: none[0] ?? "", n: 0 };
  const many = read(`There are (?!one )(${MORE_NUMBERS.join("|")}) ${noun}s`);
  if (many) return { about: "number", of: many[1] ?? "", n: MORE_NUMBERS.indexOf(many[0] ?? "") };
  const any = read(`There are ${noun}s`);
  if (any) return { about: "number", of: any[0] ?? "", n: 0, denied: true };
  const yes = read(`Yes, there is a ${noun}`);
  if (yes) return { about: "presence", of: yes[0] ?? "", there: true };
  const no = read(`No, there is no ${noun}`);
  if (no) return { about: "presence", of: no[0] ?? "", there: false };
  const order = read(`There are (more|fewer|as many) ${noun}s (than|as) ${noun}s`);
  if (order && (order[0] === "as many") === (order[2] === "as")) {
    const [said, first = "", , second = ""] = order;
    const sign = said === "as many" ? 0 : said === "more" ? 1 : -1;
    return { about: "order", of: [first, second].sort().join(), sign: first < second ? sign : 0 - sign };
  }
  const beside = read(`The ${noun} is (?:to the )?(left|right|above|below)(?: of)? the ${noun}`);
  if (beside) {
    const [first = "", relation = "", second = ""] = beside;
    const value = first < second ? relation : (OPPOSITE[relation] ?? "");
    return { about: "place", of: [first, second].sort().join(), value };
  }
  const corner = read(`The ${noun} is at the ((?:top|bottom) (?:left|right))`);
  if (corner) return { about: "place", of: corner[0] ?? "", value: corner[1] ?? "" };
  const thing = read("The ([a-z ]+) is an? ([a-z]+)");
  if (thing) return { about: "value", of: thing[0] ?? "", value: thing[1] ?? "", sort: "thing" };
  const value = read("The ([a-z ]+) is ([a-z]+)");
  if (!value) throw new Error(`not a sentence about a box: ${sentence}`);
  const sort = /^(?:small|medium|big|large)$/.test(value[1] ?? "") ? "size" : "colour";
  return { about: "value", of: value[0] ?? "", value: value[1] ?? "", sort };
}

/** True if two claims, at most one of them a denial, cannot both hold of one box. */
export function contradicts(a: Claim, b: Claim): boolean {
  if (a.denied !== b.denied) return JSON.stringify({ ...a, denied: null }) === JSON.stringify({ ...b, denied: null });
  if (a.about !== b.about || a.of !== b.of) return false;
  if (a.about === "value" && b.about === "value" && a.sort !== b.sort) return false;
  return JSON.stringify(a) !== JSON.stringify(b);
}
