import { classify } from "../../taxonomy/classify.ts";
import type { ErrorType, Level } from "../../taxonomy/taxonomy.ts";
import { checkEdit } from "../checks/index.ts";
import { wordDiff } from "../diff.ts";
import { kindsOf } from "../kinds.ts";
import { levelsOf } from "../levels.ts";
import { numberOf } from "../numbers.ts";
import { seeded, seedFor, shuffled } from "../random.ts";
import { type EditOutcome, type EditRequest, type Refusal, refuse } from "../types.ts";
import { normalise, wordsOf } from "../words.ts";
import { editComparison } from "./comparison.ts";
import { editCount } from "./count.ts";
import { editNegation } from "./negation.ts";
import { editPosition } from "./position.ts";
import { editAttributes, editRoles } from "./swap.ts";
import type { Maker } from "./text.ts";
import { editAction, editAttribute, editIdentity } from "./value.ts";

const MAKERS: Readonly<Partial<Record<ErrorType, Maker>>> = {
  "count-near": editCount,
  "count-far": editCount,
  attribute: editAttribute,
  action: editAction,
  identity: editIdentity,
  "position-inversion": editPosition,
  "comparison-inversion": editComparison,
  negation: editNegation,
  "role-swap": editRoles,
  "attribute-swap": editAttributes,
};

/**
 * The built-in editor: English, by rule, without a model. It writes only what is false whenever the right answer is
 * true, and says why it cannot otherwise. Whatever it writes has passed the ladder of checks.
 */
export function editBuiltin(request: EditRequest): EditOutcome {
  const { errorType, level, language } = request;
  if (language !== "en" && !language.startsWith("en-")) {
    return refuse("cannot.language", `The built-in editor writes English only, not "${language}".`);
  }
  if (!levelsOf(errorType).includes(level)) {
    return refuse("cannot.level", `${errorType} has no level ${level}.`);
  }
  if (level === 4) return editOwn(request);
  const make = MAKERS[errorType];
  if (!make) return refuse("cannot.type", `The built-in editor does not write ${errorType}.`);
  const made = make(request);
  return "reason" in made ? made : choose(request, made);
}

/** The first of the candidates, in the seed's order, that is new and passes the ladder; else why there is none. */
function choose(request: EditRequest, made: readonly string[]): EditOutcome {
  const used = new Set(request.avoid.map(normalise));
  const random = seeded(seedFor(request.seed, `${request.answer}\n${request.errorType}\n${request.level}`));
  let refusal: Refusal | undefined;
  let exists = false;
  for (const rejected of shuffled(made, random)) {
    const outcome = checkEdit({ ...request, rejected });
    const isNew = !used.has(normalise(rejected));
    if (outcome.ok && isNew) return { ok: true, rejected };
    exists ||= !isNew;
    if (!outcome.ok) refusal ??= outcome;
  }
  if (exists) return refuse("novelty.duplicate", "Every edit of this kind exists already.");
  return refusal ?? refuse("cannot.no-target", "There is nothing to change.");
}

/** Level 4: the model's own wrong answer as it stands, or, where its wording is too far, its mistake in the right answer's wording. */
function editOwn(request: EditRequest): EditOutcome {
  const { ownAnswer, answer, question, task } = request;
  if (ownAnswer === null) return refuse("cannot.no-own-answer", "The model gave no wrong answer to this question.");
  const { errorType } = classify({ question, response: ownAnswer, answer, task });
  const observed = { ...request, errorType };
  const whole = choose(observed, [ownAnswer.trim()]);
  if (whole.ok || whole.reason.startsWith("novelty.") || whole.reason.startsWith("rule.")) return whole;
  const said = new Set(wordsOf(ownAnswer).map(plainWord));
  const edits = ([1, 2, 3] as const).flatMap((level: Level) => {
    const made = levelsOf(errorType).includes(level) ? MAKERS[errorType]?.({ ...observed, level }) : undefined;
    return made && !("reason" in made) ? made : [];
  });
  const transplanted = edits.filter((edit) => {
    const added = wordDiff(wordsOf(answer), wordsOf(edit)).spans.flatMap((span) => span.to);
    return added.every((word) => said.has(plainWord(word)) || kindsOf(word).includes("function"));
  });
  return transplanted.length > 0 ? choose(observed, transplanted) : whole;
}

/** Numbers by value, other words as they are. */
function plainWord(word: string): string {
  return String(word === "no" ? 0 : (numberOf(word) ?? word));
}
