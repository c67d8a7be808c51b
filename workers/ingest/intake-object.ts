import type { Env } from "../env.ts";
import { isTransient } from "../store/db.ts";

/** One object commits for all clients, as the database has one writer. */
const OBJECT_NAME = "intake";

const ids = new WeakMap<Env["INTAKE"], DurableObjectId>();

export function intakeObject({ INTAKE }: Pick<Env, "INTAKE">) {
  const id = ids.get(INTAKE) ?? INTAKE.idFromName(OBJECT_NAME);
  ids.set(INTAKE, id);
  return INTAKE.get(id);
}

/** Whether a call failed because the object cannot be reached now. What it was asked may be done or not. */
export function isAway(error: unknown): boolean {
  const said = error as { readonly retryable?: unknown; readonly overloaded?: unknown } | null;
  return isTransient(error) || said?.retryable === true || said?.overloaded === true;
}
