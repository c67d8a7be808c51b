/** Tasks, error types, levels and modalities: the axes of the space in which hardness is tracked. */

/** What a question is about. The first ten follow VaPR (Wadhawan et al., COLM 2025). */
export const TASKS = [
  "object",
  "colour",
  "size",
  "background",
  "existence",
  "counting",
  "spatial",
  "referential",
  "reasoning",
  "captioning",
  "comparison",
  "ocr",
  "temporal",
  "dialogue",
  "step",
  "other",
] as const;
export type Task = (typeof TASKS)[number];

/** In which way an answer is wrong. */
export const ERROR_TYPES = [
  "existence-add",
  "existence-omit",
  "position-inversion",
  "count-near",
  "count-far",
  "attribute",
  "attribute-swap",
  "role-swap",
  "action",
  "comparison-inversion",
  "negation",
  "text-misread",
  "temporal-order",
  "identity",
  "scene",
  "knowledge",
  "reasoning-step",
  "language-slip",
] as const;
export type ErrorType = (typeof ERROR_TYPES)[number];

/** How near the miss is asked to be: 1 gross, 2 plain, 3 near, 4 the model's own confusion. */
export const LEVELS = [1, 2, 3, 4] as const;
export type Level = (typeof LEVELS)[number];

export const MODALITIES = ["text", "image", "multi-image", "video"] as const;
export type Modality = (typeof MODALITIES)[number];

/** The cell where hardness is tracked. `language` is a BCP 47 tag in lower case, `und` when unknown. */
export interface Region {
  readonly task: Task;
  readonly errorType: ErrorType;
  readonly language: string;
  readonly modality: Modality;
}

/** `task/error/language/modality`: the region's stable name in the store, in plans and in the console. */
export function regionKey(region: Region): string {
  return `${region.task}/${region.errorType}/${region.language}/${region.modality}`;
}

/**
 * The region a key names.
 * @throws {RangeError} when a part is not of the taxonomy
 */
export function parseRegionKey(key: string): Region {
  const [task, errorType, language, modality, ...rest] = key.split("/");
  if (
    rest.length > 0 ||
    !language ||
    !TASKS.includes(task as Task) ||
    !ERROR_TYPES.includes(errorType as ErrorType) ||
    !MODALITIES.includes(modality as Modality)
  ) {
    throw new RangeError(`not a region key: ${key}`);
  }
  return { task: task as Task, errorType: errorType as ErrorType, language, modality: modality as Modality };
}

/**
 * The error types that make sense for a task, the likeliest first. An edit of another type could leave the answer
 * true: "two yellow circles" and "two black circles" may both hold of one image. A denial is false whatever was asked, so
 * `negation` stands wherever a question can be answered with yes or no.
 */
export const TASK_ERROR_TYPES: Readonly<Record<Task, readonly [ErrorType, ...ErrorType[]]>> = {
  object: ["identity", "existence-add", "existence-omit", "negation"],
  colour: ["attribute", "attribute-swap", "negation"],
  size: ["attribute", "comparison-inversion", "negation"],
  background: ["scene", "attribute", "negation"],
  existence: ["negation"],
  counting: ["count-near", "count-far", "negation"],
  spatial: ["position-inversion", "role-swap", "negation"],
  referential: ["identity", "position-inversion", "negation"],
  reasoning: ["reasoning-step", "knowledge", "negation"],
  captioning: [
    "existence-add",
    "existence-omit",
    "attribute",
    "attribute-swap",
    "role-swap",
    "action",
    "scene",
    "identity",
    "position-inversion",
    "count-near",
    "count-far",
  ],
  comparison: ["comparison-inversion", "role-swap", "negation"],
  ocr: ["text-misread", "negation"],
  temporal: ["temporal-order", "action", "negation"],
  dialogue: ["identity", "negation", "attribute"],
  step: ["reasoning-step"],
  other: [
    "attribute",
    "negation",
    "identity",
    "action",
    "position-inversion",
    "count-near",
    "count-far",
    "language-slip",
  ],
};
