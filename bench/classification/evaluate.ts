import { classify } from "../../shared/taxonomy/classify.ts";
import { languageOf } from "../../shared/taxonomy/language.ts";
import { taskOf } from "../../shared/taxonomy/task.ts";
import type { ErrorType, Task } from "../../shared/taxonomy/taxonomy.ts";
import { HELD_OUT } from "./questions.ts";
import { SENTENCES } from "./sentences.ts";

/** An event as a client would send it, with what a person says it is. */
export interface Labelled {
  /** The data set's own name for the kind of event. */
  readonly kind: string;
  readonly question: string;
  readonly response: string;
  readonly answer: string;
  readonly accepted: readonly string[];
}

/** How often each kind was taken for what. */
export interface Confusion {
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly rights: ReadonlyMap<string, number>;
  readonly accuracy: number;
}

/** `develop` was looked at while the rules were written, `held-out` was not. */
export type Half = "develop" | "held-out";

/** The second lowest bit of an item's number: the stored items are every other one, so the lowest says nothing. */
const halfOf = (id: string | number): Half =>
  (Number(String(id).replace(/\D/g, "")) >> 1) % 2 === 0 ? "develop" : "held-out";

/** SugarCrepe's files with the error types that are right for their negatives. */
const SUGARCREPE: Readonly<Record<string, readonly ErrorType[]>> = {
  add_att: ["attribute"],
  add_obj: ["existence-add"],
  replace_att: ["attribute", "count-near", "count-far"],
  replace_obj: ["identity"],
  replace_rel: ["position-inversion", "action"],
  swap_att: ["attribute-swap"],
  swap_obj: ["role-swap"],
};

/** AMBER's question types with the tasks that are right for them. States are colours, sizes and whatever else holds of a thing. */
const AMBER: Readonly<Record<string, readonly Task[]>> = {
  generative: ["captioning"],
  "discriminative-hallucination": ["existence"],
  "discriminative-attribute-number": ["counting"],
  "discriminative-attribute-state": ["colour", "size", "other"],
  "discriminative-attribute-action": ["other"],
  "discriminative-relation": ["spatial"],
  relation: ["spatial"],
};

/** Gives a data file's text, by its path below the data folder. */
export type ReadData = (path: string) => string;

const rowsOf = <T>(text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

/** Captions with their hard negatives: the caption is the right answer, the negative what the model said. */
export function sugarcrepe(read: ReadData, half: Half): Labelled[] {
  return Object.entries(SUGARCREPE).flatMap(([kind, accepted]) =>
    rowsOf<{ id: string; caption: string; negative_caption: string }>(read(`sugarcrepe/${kind}.jsonl`))
      .filter(({ id }) => halfOf(id) === half)
      .map(({ caption, negative_caption }) => ({
        kind,
        question: "Describe the image.",
        response: negative_caption,
        answer: caption,
        accepted,
      })),
  );
}

/** Questions with yes or no, answered wrongly; and descriptions of all that is there, with one thing that is not. */
export function amber(read: ReadData, half: Half): Labelled[] {
  return rowsOf<AmberItem>(read("amber/queries.jsonl"))
    .filter(({ id }) => halfOf(id) === half)
    .map((item) => ({ kind: item.type, question: item.query, accepted: AMBER[item.type] ?? [], ...answersTo(item) }));
}

interface AmberItem {
  readonly id: number;
  readonly type: string;
  readonly query: string;
  readonly truth: "yes" | "no" | readonly string[];
  readonly hallu?: readonly string[];
}

function answersTo({ truth, hallu = [] }: AmberItem): { answer: string; response: string } {
  if (truth === "yes") return { answer: "Yes.", response: "No." };
  if (truth === "no") return { answer: "No.", response: "Yes." };
  const shows = (things: readonly string[]) => `The image shows ${things.map((thing) => `a ${thing}`).join(", ")}.`;
  return { answer: shows(truth), response: shows([...truth, ...hallu.slice(0, 1)]) };
}

/** What the events are taken for, by their kind; `of` picks what is judged. */
export function confusionOf(events: readonly Labelled[], of: "task" | "errorType"): Confusion {
  const rows = new Map<string, Map<string, number>>();
  const rights = new Map<string, number>();
  for (const { kind, accepted, ...event } of events) {
    const found = classify(event)[of];
    const row = rows.get(kind) ?? new Map<string, number>();
    rows.set(kind, row.set(found, (row.get(found) ?? 0) + 1));
    rights.set(kind, (rights.get(kind) ?? 0) + (accepted.includes(found) ? 1 : 0));
  }
  const right = [...rights.values()].reduce((sum, n) => sum + n, 0);
  return { rows, rights, accuracy: right / events.length };
}

/** AMBER's answers judged instead of its questions: a wrong yes or no is a negation, a thing too many an addition. */
export const withErrorTypes = (events: readonly Labelled[]): Labelled[] =>
  events.map((event) => ({ ...event, accepted: event.kind === "generative" ? ["existence-add"] : ["negation"] }));

/** Share of the freely worded questions whose task is told right. */
export function questionAccuracy(): number {
  return HELD_OUT.filter(([question, ...accepted]) => accepted.includes(taskOf(question))).length / HELD_OUT.length;
}

/** Share of the own short sentences whose language is told right: of questions with their answers, and of answers alone. */
export function languageAccuracy(): { readonly asked: number; readonly answers: number } {
  const all = Object.entries(SENTENCES).flatMap(([language, pairs]) =>
    pairs.map(([question, answer]) => ({ language, question, answer })),
  );
  const share = (tell: (pair: { question: string; answer: string }) => string) =>
    all.filter((pair) => tell(pair) === pair.language).length / all.length;
  return {
    asked: share(({ question, answer }) => languageOf({ question, response: answer, answer })),
    answers: share(({ answer }) => languageOf({ question: "", response: answer, answer })),
  };
}

/** Share of the events whose right answer, alone, is taken for English. */
export function englishShare(events: readonly Labelled[]): number {
  const english = events.filter(({ answer }) => languageOf({ question: "", response: answer, answer }) === "en");
  return english.length / events.length;
}
