/** Near misses: the built-in editor, the prompt for a model that edits, and the ladder of checks that both must pass. */
export { editBuiltin } from "./builtin/index.ts";
export { checkEdit } from "./checks/index.ts";
export { hasOneEdit, levelsOf } from "./levels.ts";
export { type EditPrompt, editPrompt, modelEdit } from "./prompt.ts";
export { changedWords, templateOf } from "./traits.ts";
export { type EditOutcome, type EditRequest, REFUSAL_REASONS, type RefusalReason } from "./types.ts";
export { normalise } from "./words.ts";
