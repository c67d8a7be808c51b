import { drizzle } from "drizzle-orm/d1";

/** Drizzle serves typed reads; writes are statements by hand. */
export function reads(db: D1Database) {
  return drizzle(db);
}

const WRITE_ATTEMPTS = 4;
const FIRST_BACKOFF_MS = 40;

/** What D1 says when it is busy or was moved: the same call may well succeed a moment later. */
const TRANSIENT = [
  "Network connection lost",
  "Cannot resolve D1 DB due to transient issue",
  "storage caused object to be reset",
  "reset because its code was updated",
  "D1 DB is overloaded",
  "D1 DB storage operation exceeded timeout",
  "exceeded its CPU time limit and was reset",
  "database is locked",
] as const;

/** Whether the call failed for a reason that passes by itself. Looks through the errors that libraries wrap around D1's. */
export function isTransient(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    const { message } = current;
    if (TRANSIENT.some((text) => message.includes(text))) return true;
  }
  return false;
}

/**
 * Runs a write again after a transient failure, with growing pauses. The write must be idempotent: a lost answer may hide a
 * commit.
 * @throws the last error
 */
export async function retryWrite<T>(write: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write();
    } catch (error) {
      if (attempt === WRITE_ATTEMPTS || !isTransient(error)) throw error;
      const pauseMs = FIRST_BACKOFF_MS * 2 ** (attempt - 1) * (0.5 + Math.random());
      await new Promise((resume) => setTimeout(resume, pauseMs));
    }
  }
}

/** Whether a write was refused because its key is taken. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && error.message.includes("UNIQUE constraint failed");
}

/** Whether the database answers at all. */
export async function answers(db: D1Database): Promise<boolean> {
  try {
    await db.prepare("SELECT 1").run();
    return true;
  } catch {
    return false;
  }
}
