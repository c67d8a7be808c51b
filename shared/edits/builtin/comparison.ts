import { COMPARATIVES } from "../lexicon.ts";
import type { EditRequest } from "../types.ts";
import { keepCase, wordsOf } from "../words.ts";
import { isPlural } from "./nouns.ts";
import { clauseOf, deniesOrChooses, type Made, noTarget, preferFamiliar, saysYesOrNo, uncertain } from "./text.ts";

const BASES: Readonly<Record<string, string>> = {
  bigger: "big",
  smaller: "small",
  larger: "large",
  taller: "tall",
  shorter: "short",
  longer: "long",
  higher: "high",
  lower: "low",
  wider: "wide",
  narrower: "narrow",
  thicker: "thick",
  thinner: "thin",
  heavier: "heavy",
  lighter: "light",
  older: "old",
  younger: "young",
  faster: "fast",
  slower: "slow",
  closer: "close",
  farther: "far",
  darker: "dark",
  brighter: "bright",
  hotter: "hot",
  colder: "cold",
  better: "good",
  worse: "bad",
};
const COMPARATIVE_OF: ReadonlyMap<string, string> = new Map(Object.entries(BASES).map(([more, base]) => [base, more]));

/** Every opposite of a comparative or superlative: "shorter" is the opposite of "taller" and of "longer". */
function opposites(word: string): string[] {
  return [...new Set(COMPARATIVES.flatMap(([a, b]) => (a === word ? [b] : b === word ? [a] : [])))];
}

/** The comparison turned round; at level 3 made equal. An equal one becomes unequal. */
export function editComparison(request: EditRequest): Made {
  const { answer, level } = request;
  if (saysYesOrNo(answer)) return uncertain("a yes or no hangs on it");
  if (deniesOrChooses(answer)) return uncertain("the answer denies something or leaves a choice");
  const equal = unequalled(answer);
  if (equal.length > 0) return preferFamiliar(request, equal, String);
  const evened = level === 3 ? equalled(answer) : [];
  const edits = evened.length > 0 ? evened : turned(answer);
  return edits.length > 0 ? preferFamiliar(request, edits, String) : noTarget("comparison");
}

/** "as many X as" -> "more X than", "fewer X than"; "as big as" -> "bigger than", "smaller than". */
function unequalled(answer: string): string[] {
  const amount = /\bas (many|much) (.+?) as\b/i.exec(answer);
  if (amount) {
    const [whole, unit = "", things] = amount;
    const words = ["more", unit.toLowerCase() === "many" ? "fewer" : "less"];
    return words.map((word) => answer.replace(whole, () => keepCase(whole, `${word} ${things} than`)));
  }
  const degree = /\bas (\p{L}+) as\b/iu.exec(answer);
  const comparative = COMPARATIVE_OF.get(degree?.[1]?.toLowerCase() ?? "");
  if (!degree || !comparative) return [];
  return [comparative, ...opposites(comparative)].map((word) =>
    answer.replace(degree[0], () => keepCase(degree[0], `${word} than`)),
  );
}

/** "more X than" -> "as many X as"; "bigger than" -> "as big as". */
function equalled(answer: string): string[] {
  const amount = /\b(more|fewer|less) (.+?) than\b/i.exec(answer);
  if (amount) {
    const [whole, word = "", things = ""] = amount;
    const unit = areMany(things) && word.toLowerCase() !== "less" ? "many" : "much";
    return [answer.replace(whole, () => keepCase(whole, `as ${unit} ${things} as`))];
  }
  const degree = /\b(\p{L}+) than\b/iu.exec(answer);
  const base = BASES[degree?.[1]?.toLowerCase() ?? ""];
  return degree && base ? [answer.replace(degree[0], () => keepCase(degree[0], `as ${base} as`))] : [];
}

/** The first comparative with its opposite for it; a superlative only where it is claimed of the subject. */
function turned(answer: string): string[] {
  const { words, predicate } = clauseOf(answer);
  const place = words.findIndex(({ text }, i) => {
    const known = text === "less" || opposites(text).length > 0;
    return known && (!text.endsWith("st") || i >= predicate);
  });
  const word = words[place];
  if (!word) return [];
  const things = /\bmore (.+?) than\b/i.exec(answer)?.[1];
  const others =
    word.text === "less"
      ? ["more"]
      : word.text === "more" && things && !areMany(things)
        ? ["less"]
        : opposites(word.text);
  return others.map(
    (text) => answer.slice(0, word.start) + keepCase(answer.slice(word.start, word.end), text) + answer.slice(word.end),
  );
}

function areMany(things: string): boolean {
  return isPlural(wordsOf(things).at(-1) ?? "");
}
