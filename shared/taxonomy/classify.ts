import { evidenceOf } from "./difference.ts";
import { languageOf } from "./language.ts";
import { errorTypeTagged, type Tags, taskTagged } from "./tags.ts";
import { taskOf } from "./task.ts";
import { type ErrorType, TASK_ERROR_TYPES, type Task } from "./taxonomy.ts";

export interface Report {
  /** The user's last turn. */
  readonly question: string;
  readonly response: string;
  /** The right answer, null when it is not known. */
  readonly answer: string | null;
  /** As the client tagged it; a tag stands. */
  readonly task?: Task;
  readonly errorType?: ErrorType;
  /** BCP 47. */
  readonly language?: string;
  /** The client's own labels; one that names a task or an error type of the task is believed. */
  readonly tags?: Tags;
}

export interface Classified {
  readonly task: Task;
  readonly errorType: ErrorType;
  /** ISO 639-1, or `und`. */
  readonly language: string;
}

/**
 * The task, error type and language of a report. A client's tags stand; otherwise the task is read from the question and the
 * error type from the words in which response and right answer differ, and it is always one of the task's own types. English only:
 * of other languages the task is `other`, unless a tag says more.
 */
export function classify(report: Report): Classified {
  const { question, response, answer, tags = {} } = report;
  const task = report.task ?? taskTagged(tags) ?? taskOf(question);
  return {
    task,
    errorType: errorTypeOf(report, task),
    language: languageOf({ tag: report.language, question, response, answer }),
  };
}

/** The error type as the client told it: in the field, or in a label that names one of the task's types; null if it did not. */
export function errorTypeTold(
  { errorType, tags = {} }: Pick<Report, "errorType" | "tags">,
  task: Task,
): ErrorType | null {
  if (errorType) return errorType;
  const tagged = errorTypeTagged(tags);
  return tagged && TASK_ERROR_TYPES[task].includes(tagged) ? tagged : null;
}

function errorTypeOf(report: Report, task: Task): ErrorType {
  const told = errorTypeTold(report, task);
  if (told) return told;
  const { response, answer } = report;
  const allowed = TASK_ERROR_TYPES[task];
  const found = answer === null || allowed.length === 1 ? [] : evidenceOf(response, answer);
  return found.find((type) => allowed.includes(type)) ?? allowed[0];
}
