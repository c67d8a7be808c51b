import { FAMILIES } from "../edits/lexicon.ts";
import type { Task } from "./taxonomy.ts";

/** Characters of a question that are searched, half of them at each end: what is asked stands at one of them. */
const SEARCHED_CHARS = 400;

const membersOf = (name: string) =>
  [...(FAMILIES.find((family) => family.name === name)?.places.keys() ?? [])].join("|");
const NUMBERS = "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\\d{1,3})";

/** "Is the grass green?", "Are these tall trees small or big?": a yes or no about a value. */
const asksIf = (values: string) =>
  new RegExp(
    `^(?:is|are|was|were) (?:the|this|that|these|those|his|her|its) (?:[\\w'-]+ ){1,6}(?:${values})(?: in | or |[?.!]|$)`,
  );

/** Cues of a question, the telling ones first: "are there more" compares, though it asks "are there" too. */
const CUES: readonly (readonly [Task, RegExp])[] = [
  [
    "counting",
    new RegExp(
      `\\bhow m(?:any|uch)\\b|\\b(?:number|count|amount) of (?!the\\b)|\\bcount the\\b|\\b(?:is|are|was|were) there (?:exactly |only |just )?${NUMBERS}\\b`,
    ),
  ],
  [
    "ocr",
    /\b(?:what does|what do)\b.*\b(?:say|read)\b|\b(?:written|text|letters?|license plate|licence plate|what time)\b|\bread the\b/,
  ],
  [
    "captioning",
    /^(?:please |can you |could you )*(?:describe|caption|summari[sz]e)\b|\bcaption\b|\bdescri(?:be|ption)\b|\bsummary\b|\btell me about\b|\bwhat (?:can|do) (?:you|we) see\b|\bgoing on\b|\bwhat(?: is|'s) happening\b|\bdoing\b/,
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
  ["colour", asksIf(membersOf("colour"))],
  ["size", /\b(?:what|which) size\b|\bsize of\b|\bhow (?:big|large|small|tall|long|wide|high)\b/],
  ["size", asksIf(`${membersOf("size")}|tall|short|long|wide|narrow|thick|thin`)],
  ["object", /\b(?:what|which) shape\b|\bshape of\b/],
  [
    "temporal",
    /\b(?:before|after|first|then|next|last)\b.*\b(?:happen\w*|frame|video|clip)\b|\b(?:happen\w*|video|clip)\b.*\b(?:before|after|first|then|next|last)\b|\border\b.*\bevents\b/,
  ],
  [
    "reasoning",
    /\bwhy\b|^(?:how come|explain)\b|\bhow (?:can|do) (?:you|we) (?:tell|know)\b|\bwhat (?:would|might|could) (?:happen|be the reason)\b|\binfer\b/,
  ],
  ["spatial", /\b(?:contact|distance|space|gap) between\b|\btouch(?:es|ing)?\b|\b(?:which|what) side\b/],
  [
    "existence",
    /\b(?:is|are|was|were) there\b|\b(?:can|do) you see\b|\bvisible\b|\bbe seen\b|\bdoes (?:the|this) (?:image|picture|photo|box|scene) (?:contain|show|have)\b/,
  ],
  ["referential", /^(?:who|which|whose)\b/],
  [
    "spatial",
    /\bwhere\b|\b(?:left|right|above|below|under|beneath|behind|beside|in front of|on top of|next to|position|relative to|located)\b/,
  ],
  [
    "object",
    /\bwhat (?:is|are|'s|kind|type|sort|object|animal)\b|\bwhat's\b|^what \w+ (?:is|are)\b|\bname the\b|\bidentify\b/,
  ],
];

/** What an English question is about; `other` when nothing says so. */
export function taskOf(question: string): Task {
  const text = endsOf(question).toLowerCase().replaceAll("’", "'").trim();
  return CUES.find(([, cue]) => cue.test(text))?.[0] ?? "other";
}

function endsOf(question: string): string {
  if (question.length <= SEARCHED_CHARS) return question;
  return `${question.slice(0, SEARCHED_CHARS / 2)}\n${question.slice(-SEARCHED_CHARS / 2)}`;
}
