import type { Intake } from "./ingest/intake.ts";

/** Everything the Worker is given. Each room takes only what it needs: `Pick<Env, ...>`. */
export interface Env {
  readonly DB: D1Database;
  readonly BLOBS: R2Bucket;
  readonly EDIT_QUEUE: Queue<EditMessage>;
  readonly INTAKE: DurableObjectNamespace<Intake>;
  readonly INTAKE_QUEUE: Queue<IntakeMessage>;
  /** Signs browser tokens and image links; unset, there are none. */
  readonly SIGNING_SECRET?: string;
  /** Hex SHA-256 of the first admin key; unset, only stored keys open the door. */
  readonly ADMIN_KEY_SHA256?: string;
  /** An OpenAI-compatible endpoint; empty, the built-in editor works alone. */
  readonly EDITOR_BASE_URL?: string;
  readonly EDITOR_MODEL?: string;
  readonly EDITOR_API_KEY?: string;
  /** Another one, which may give the right answers that nobody told; empty, they wait for a person. */
  readonly TEACHER_BASE_URL?: string;
  readonly TEACHER_MODEL?: string;
  readonly TEACHER_API_KEY?: string;
  /** A third one, not the editor's model, which doubted pairs are checked with; empty, they wait for a person. */
  readonly JUDGE_BASE_URL?: string;
  readonly JUDGE_MODEL?: string;
  readonly JUDGE_API_KEY?: string;
}

/** One message wakes the editor for many jobs; the jobs themselves are rows. */
export interface EditMessage {
  readonly jobs: readonly string[];
}

/** Names blobs that hold events which the database was too busy for. */
export interface IntakeMessage {
  readonly blobs: readonly string[];
}
