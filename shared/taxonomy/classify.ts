import { wordDiff } from "../edits/diff.ts";
import { someKind } from "../edits/kinds.ts";
import { numberOf } from "../edits/numbers.ts";
import { wordsOf } from "../edits/words.ts";
import { type ErrorType, TASK_ERROR_TYPES, type Task } from "./taxonomy.ts";

interface Report {
  /** The user's last turn. */
  readonly question: string;
  readonly response: string;
  /** The right answer, null when it is not known. */
  readonly answer: string | null;
  /** As the client tagged it; a tag stands. */
  readonly task?: Task;
  readonly errorType?: ErrorType;
}

/** Cues of a question, the telling ones first: "are there more" compares, though it asks "are there" too. */
const TASK_CUES: readonly (readonly [Task, RegExp])[] = [
  ["counting", /\bhow many\b|\b(?:number|count) of\b|\bcount the\b/],
  [
    "ocr",
    /\b(?:what does|what do)\b.*\b(?:say|read)\b|\b(?:written|text|letters?|license plate|licence plate)\b|\bread the\b/,
  ],
  [
    "captioning",
    /^(?:please |can you |could you )*(?:describe|caption|summari[sz]e)\b|\bcaption\b|\bdescri(?:be|ption)\b|\bwhat(?: is|'s) happening\b|\bdoing\b/,
  ],
  [
    "background",
    /\bbackground\b|\bwhat (?:kind|type|sort) of (?:place|scene|room)\b|\bweather\b|\bindoors or outdoors\b/,
  ],
  [
    "comparison",
    /\b(?:more|fewer|less|as many|as much|equal|same)\b|\b(?:big|small|larg|tall|short|long|high|low|wid|narrow|thick|thin|heavi|light|old|young|fast|slow|clos|dark|bright)(?:g|l)?er\b.*\bthan\b|\bcompare\b/,
  ],
  ["colour", /\bcolou?r(?:s|ed)?\b/],
  ["size", /\b(?:what|which) size\b|\bsize of\b|\bhow (?:big|large|small|tall|long|wide|high)\b/],
  ["object", /\b(?:what|which) shape\b|\bshape of\b/],
  [
    "temporal",
    /\b(?:before|after|first|then|next|last)\b.*\b(?:happen\w*|frame|video|clip)\b|\b(?:happen\w*|video|clip)\b.*\b(?:before|after|first|then|next|last)\b|\border\b.*\bevents\b/,
  ],
  [
    "reasoning",
    /^(?:why|how come|explain)\b|\bwhy\b|\bwhat (?:would|might|could) (?:happen|be the reason)\b|\binfer\b/,
  ],
  [
    "existence",
    /\b(?:is|are|was|were) there\b|\bcan you see\b|\bdo you see\b|\bdoes (?:the|this) (?:image|picture|photo|box|scene) (?:contain|show|have)\b/,
  ],
  ["referential", /^(?:who|which|whose)\b/],
  [
    "spatial",
    /\bwhere\b|\b(?:left|right|above|below|under|beneath|behind|beside|in front of|on top of|next to|position|relative to|located)\b/,
  ],
  ["object", /\bwhat (?:is|are|'s|kind|type|sort|object|animal)\b|\bwhat's\b|\bname the\b|\bidentify\b/],
];

/** Characters of a question that are searched for cues. */
const MAX_QUESTION_CHARS = 1_000;

/** What a question is about; `other` when nothing says so. */
function taskOf(question: string): Task {
  const text = question.slice(0, MAX_QUESTION_CHARS).toLowerCase().replaceAll("’", "'").trim();
  return TASK_CUES.find(([, cue]) => cue.test(text))?.[0] ?? "other";
}

/** The first amount that a text tells; "no" is zero where no number stands. */
function amountIn(words: readonly string[]): number | undefined {
  return words.map(numberOf).find((n) => n !== undefined) ?? (words.includes("no") ? 0 : undefined);
}

/** In which ways a response differs from the right answer, the surest first. Empty for equal texts. */
function evidenceOf(response: string, answer: string): ErrorType[] {
  const [right, wrong] = [wordsOf(answer), wordsOf(response)];
  const { spans } = wordDiff(right, wrong);
  if (spans.length === 0) return [];
  const removed = spans.flatMap((s) => s.from);
  const added = spans.flatMap((s) => s.to);
  const changed = [...removed, ...added];
  const found: ErrorType[] = [];
  const scripts = (text: string) => /\p{Script=Latin}/u.test(text);
  if (scripts(answer) !== scripts(response)) found.push("language-slip");

  const [before, after] = [amountIn(right), amountIn(wrong)];
  if (before !== undefined && after !== undefined && before !== after) {
    found.push(Math.abs(before - after) === 1 ? "count-near" : "count-far");
  }
  const moved = removed.filter((word) => added.includes(word) && !someKind([word], "function", "polarity"));
  if (moved.length >= 2) {
    const values = moved.every((word) => someKind([word], "attribute", "number", "relation"));
    found.push(...(values ? (["attribute-swap", "role-swap"] as const) : (["role-swap", "attribute-swap"] as const)));
  }
  if (someKind(changed, "polarity")) found.push("negation");
  if (someKind(changed, "comparison")) found.push("comparison-inversion");
  if (someKind(changed, "relation")) found.push("position-inversion");
  if (someKind(changed, "time")) found.push("temporal-order");
  if (someKind(changed, "attribute")) found.push("attribute");
  if (someKind(changed, "action")) found.push("action");
  const [lost, gained] = [removed, added].map((words) => words.filter((w) => someKind([w], "object", "open")));
  if (lost?.length === 0 && gained && gained.length > 0) found.push("existence-add");
  if (gained?.length === 0 && lost && lost.length > 0) found.push("existence-omit");
  if (someKind(changed, "object", "open")) found.push("identity");
  return found;
}

/**
 * The task and error type of a report. A client's tags stand; otherwise the task is read from the question and the
 * error type from the words in which response and right answer differ, and it is always one of the task's own types.
 */
export function classify(report: Report): { task: Task; errorType: ErrorType } {
  const task = report.task ?? taskOf(report.question);
  if (report.errorType) return { task, errorType: report.errorType };
  const allowed = TASK_ERROR_TYPES[task];
  const found = report.answer === null ? [] : evidenceOf(report.response, report.answer);
  return { task, errorType: found.find((type) => allowed.includes(type)) ?? allowed[0] };
}
