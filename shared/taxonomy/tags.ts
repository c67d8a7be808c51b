import { ERROR_TYPES, type ErrorType, TASKS, type Task } from "./taxonomy.ts";

/** Keys under which clients put such labels, in the order in which they are believed. */
const TASK_KEYS = ["task", "category", "type"] as const;
const ERROR_KEYS = ["error_type", "errorType", "error-type", "error", "category", "type"] as const;

/** Other names of tasks that are common in data sets. */
const TASK_NAMES: ReadonlyMap<string, Task> = new Map([
  ...TASKS.map((task) => [task, task] as const),
  ["color", "colour"],
  ["count", "counting"],
  ["number", "counting"],
  ["caption", "captioning"],
  ["position", "spatial"],
  ["relation", "spatial"],
]);
const ERROR_NAMES: ReadonlyMap<string, ErrorType> = new Map(ERROR_TYPES.map((type) => [type, type] as const));

export type Tags = Readonly<Record<string, string>>;

/** The task that a client's free labels name, if they name one. */
export const taskTagged = (tags: Tags): Task | undefined => named(tags, TASK_KEYS, TASK_NAMES);

/** The error type that a client's free labels name, if they name one. */
export const errorTypeTagged = (tags: Tags): ErrorType | undefined => named(tags, ERROR_KEYS, ERROR_NAMES);

function named<T>(tags: Tags, keys: readonly string[], names: ReadonlyMap<string, T>): T | undefined {
  for (const key of keys) {
    const value = Object.hasOwn(tags, key) ? tags[key] : undefined;
    const found = value === undefined ? undefined : names.get(value.trim().toLowerCase().replaceAll(/[_ ]/g, "-"));
    if (found !== undefined) return found;
  }
  return undefined;
}
