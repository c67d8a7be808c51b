/** Everything the Worker is given. Each room takes only what it needs: `Pick<Env, ...>`. */
export interface Env {
  readonly DB: D1Database;
  readonly BLOBS: R2Bucket;
  readonly EDIT_QUEUE: Queue<EditMessage>;
  /** Hex SHA-256 of the first admin key; unset, only stored keys open the door. */
  readonly ADMIN_KEY_SHA256?: string;
  /** An OpenAI-compatible endpoint; empty, the built-in editor works alone. */
  readonly EDITOR_BASE_URL?: string;
  readonly EDITOR_MODEL?: string;
  readonly EDITOR_API_KEY?: string;
}

/** One message wakes the editor for many jobs; the jobs themselves are rows. */
export interface EditMessage {
  readonly jobs: readonly string[];
}
