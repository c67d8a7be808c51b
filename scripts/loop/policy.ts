import { policyDocument } from "../../shared/contracts/policy.ts";
import { UsageError } from "../usage-error.ts";
import type { OperatorApi } from "./api.ts";

type Changes = readonly (readonly [path: string, value: unknown])[];

/** The document with each dotted path set to its value. @throws {UsageError} for a path that no policy has */
function changed(document: object, changes: Changes): Record<string, unknown> {
  const copy = structuredClone(document) as Record<string, unknown>;
  for (const [path, value] of changes) {
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    let place: unknown = copy;
    for (const key of keys) place = (place as Record<string, unknown> | undefined)?.[key];
    if (typeof place !== "object" || place === null || !Object.hasOwn(place, last)) {
      throw new UsageError(`--policy: there is no ${path}`);
    }
    (place as Record<string, unknown>)[last] = value;
  }
  return copy;
}

/** Stores a new version of the policy when the changes make a difference. */
export async function changePolicy(api: OperatorApi, changes: Changes): Promise<void> {
  if (changes.length === 0) return;
  const { version, document } = await api.policy();
  const wanted = policyDocument.safeParse(changed(document, changes));
  if (!wanted.success) {
    const problem = wanted.error.issues[0];
    throw new UsageError(`--policy ${problem?.path.join(".")}: ${problem?.message}`);
  }
  if (JSON.stringify(wanted.data) === JSON.stringify(document)) return;
  await api.setPolicy(version, wanted.data, "npm start --policy");
}
