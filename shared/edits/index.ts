/** Near misses: the built-in editor, the prompt for a model that edits, and the ladder of checks that both must pass. */
export { editBuiltin } from "./builtin/index.ts";
export { type CheckOutcome, checkEdit } from "./checks/index.ts";
export { type Span, type WordDiff, wordDiff } from "./diff.ts";
export { levelsOf } from "./levels.ts";
export { type EditPrompt, editPrompt, modelEdit } from "./prompt.ts";
export {
  type Candidate,
  type EditOutcome,
  type EditRequest,
  REFUSAL_REASONS,
  type Refusal,
  type RefusalReason,
} from "./types.ts";
export { normalise, wordsOf } from "./words.ts";
