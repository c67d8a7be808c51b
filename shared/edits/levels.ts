import type { ErrorType, Level } from "../taxonomy/taxonomy.ts";

const ALL = [1, 2, 3, 4] as const;
/** Types whose level 1 would say something of another kind, which may be true beside the right answer. */
const FROM_PLAIN = [2, 3, 4] as const;
/** Types with one way to be wrong, which is a near one. */
const NEAR_ONLY = [3, 4] as const;

const LEVELS_OF: Readonly<Record<ErrorType, readonly [Level, ...Level[]]>> = {
  "existence-add": ALL,
  "existence-omit": FROM_PLAIN,
  "position-inversion": FROM_PLAIN,
  "count-near": NEAR_ONLY,
  "count-far": [1, 2, 4],
  attribute: FROM_PLAIN,
  "attribute-swap": NEAR_ONLY,
  "role-swap": NEAR_ONLY,
  action: FROM_PLAIN,
  "comparison-inversion": FROM_PLAIN,
  negation: [2, 4],
  "text-misread": FROM_PLAIN,
  "temporal-order": FROM_PLAIN,
  identity: ALL,
  scene: ALL,
  knowledge: ALL,
  "reasoning-step": FROM_PLAIN,
  "language-slip": [2, 4],
};

/** Types with one wrong answer to each right one, whatever the level: a flipped yes is the model's own mistake, if it made one. */
const ONE_EDIT: ReadonlySet<ErrorType> = new Set(["negation"]);

/** Whether every level of this type asks for the same edit. */
export function hasOneEdit(errorType: ErrorType): boolean {
  return ONE_EDIT.has(errorType);
}

/** The levels that have a meaning for an error type, rising. An off-by-one count is near by its name, a flipped yes is plain. */
export function levelsOf(errorType: ErrorType): readonly [Level, ...Level[]] {
  return LEVELS_OF[errorType];
}
