import { type Assignment, editedPolicy } from "../policy-edit.ts";
import { UsageError } from "../usage-error.ts";
import type { OperatorApi } from "./api.ts";

function edited(...[document, changes]: Parameters<typeof editedPolicy>) {
  try {
    return editedPolicy(document, changes);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`--policy: ${error.message}`) : error;
  }
}

/**
 * Stores a new version of the policy when the changes make a difference.
 * @throws {UsageError} for a path that no policy has, or a value that it may not have
 */
export async function changePolicy(api: OperatorApi, changes: readonly Assignment[]): Promise<void> {
  if (changes.length === 0) return;
  const { version, document } = await api.policy();
  const wanted = edited(document, changes);
  if (JSON.stringify(wanted) === JSON.stringify(document)) return;
  await api.setPolicy(version, wanted, "npm start --policy");
}
