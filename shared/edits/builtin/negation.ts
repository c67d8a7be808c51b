import type { EditRequest } from "../types.ts";
import { findWords } from "../words.ts";
import { isMass, isPlural } from "./nouns.ts";
import { articleFor, clauseOf, type Made, noTarget, uncertain } from "./text.ts";

/** The denial of an answer, or what it denies: "No, there is no dog." for "Yes, there is a dog." */
export function editNegation({ answer }: EditRequest): Made {
  const [, lead = "", verdict = "", gap = "", body = ""] =
    /^(\s*)(?:(yes|no)(\s*[,.;:!–-]?\s*|$))?(.*)$/isu.exec(answer) ?? [];
  // Without a comma "no" is a determiner: "No dogs are here."
  if (verdict.toLowerCase() === "no" && !/[,.;:!–-]/.test(gap) && body !== "")
    return noTarget("statement that can be denied");
  const flipped = verdict === "" ? "" : matchCase(verdict, verdict.toLowerCase() === "yes" ? "no" : "yes");
  if (body.trim() === "" || !/\p{L}/u.test(body))
    return verdict === "" ? noTarget("statement") : [`${lead}${flipped}${gap}${body}`];
  const denied = findWords(body).filter(({ text }) => DENIAL.test(text)).length;
  if (denied > 1) return uncertain("it denies more than one thing");
  if (verdict !== "" && (verdict.toLowerCase() === "no") !== (denied === 1)) {
    return uncertain("the yes or no answers something else than the statement says");
  }
  const turned = denied === 1 ? affirmed(body) : deniedForm(body);
  if (typeof turned !== "string") return turned;
  return [`${lead}${flipped}${gap}${turned}`];
}

const DENIAL = /^(?:no|not|never|none|nothing|nobody|neither|nor|without|cannot)$|n't$/;

function matchCase(like: string, word: string): string {
  return /^\p{Lu}/u.test(like) ? word.charAt(0).toUpperCase() + word.slice(1) : word;
}

const THERE = /^(there (?:is|are|was|were)) /i;
const AMOUNT = "a|an|one|two|three|four|five|six|seven|eight|nine|ten|\\d+|some|several|many|a few";

type Turned = string | ReturnType<typeof uncertain>;

function deniedForm(body: string): Turned {
  const there = THERE.exec(body);
  if (there) {
    const rest = body.slice(there[0].length);
    if (/^(?:the|only|exactly|just|at|more|fewer|less|as|about|all|both)\b/i.test(rest))
      return uncertain("less than the whole may be denied");
    return `${there[1]} no ${rest.replace(new RegExp(`^(?:${AMOUNT})\\s+`, "i"), "")}`;
  }
  const owns = /^(.*?\b(?:has|have|had)) (?:a|an|some) /i.exec(body);
  if (owns && isKnown(body)) return `${owns[1]} no ${body.slice(owns[0].length)}`;
  const aux = /\b(?:is|are|was|were|does|do|did|can|could|will|would)\b/i.exec(body);
  if (!aux) return noTarget("verb that can be denied");
  if (!isKnown(body)) return uncertain("it does not speak of one known thing");
  const end = aux.index + aux[0].length;
  return `${body.slice(0, end)} not${body.slice(end)}`;
}

function affirmed(body: string): Turned {
  const there = /^(there (is|are|was|were))(?: no|(?: not|n't)(?: a| an| any)?) /i.exec(body);
  if (there) return `${there[1]} ${someOf(body.slice(there[0].length), /^(?:is|was)$/i.test(there[2] ?? ""))}`;
  const owns = /^(.*?\b(?:has|have|had)) no /i.exec(body);
  if (owns) return `${owns[1]} ${someOf(body.slice(owns[0].length), true)}`;
  if (!isKnown(body)) return uncertain("it does not speak of one known thing");
  const not = /(?:\s+not\b|n't\b)/i.exec(body);
  if (!not || /\b(?:ca|wo)$/i.test(body.slice(0, not.index))) return noTarget("denial that can be dropped");
  return body.slice(0, not.index) + body.slice(not.index + not[0].length);
}

/** "black square" -> "a black square", "water" -> "some water", "dogs" -> "dogs". */
function someOf(things: string, singular: boolean): string {
  const words = findWords(things);
  const head = words[Math.max(0, headEnd(things) - 1)]?.text ?? "";
  if (isMass(head)) return `some ${things}`;
  return singular && !isPlural(head) ? `${articleFor(words[0]?.text ?? "")} ${things}` : things;
}

/** Number of words before the first that ends a noun phrase. */
function headEnd(things: string): number {
  const words = findWords(things);
  const end = words.findIndex(({ text }) =>
    /^(?:in|on|at|of|with|that|which|who|near|under|behind|next|left|right|to|by|from|here|there|visible)$/.test(text),
  );
  return end < 0 ? words.length : end;
}

/** The statement speaks of one known thing, so that its denial is false when it is true. */
function isKnown(body: string): boolean {
  return (
    clauseOf(body).definite ||
    /^(?:the|this|that|these|those|it|he|she|they|you|we|i|his|her|its|their)\b/i.test(body.trim())
  );
}
