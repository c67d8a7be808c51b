import { type PolicyDocument, policyDocument } from "../shared/contracts/policy.ts";
import { allowedText } from "../shared/policy/allowed.ts";
import { type PolicyField, policyFields } from "../shared/policy/fields.ts";
import { UsageError } from "./usage-error.ts";

/** A dotted path of the policy with its new value. */
export type Assignment = readonly [path: string, value: unknown];

/**
 * `path=value`; the value is JSON, or else the text as it stands.
 * @throws {UsageError}
 */
export function parseAssignment(text: string): Assignment {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`a change of the policy is written path=value, not ${JSON.stringify(text)}`);
  const value = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(value)];
  } catch {
    return [text.slice(0, at), value];
  }
}

/**
 * The document with each path set to its value, checked as the edge will check it.
 * @throws {UsageError} for a path that no policy has, or naming the field, what is wrong with the value, and what it may be
 */
export function editedPolicy(document: PolicyDocument, assignments: readonly Assignment[]): PolicyDocument {
  const copy: unknown = structuredClone(document);
  for (const [path, value] of assignments) assign(copy, path, value);
  const parsed = policyDocument.safeParse(copy);
  if (parsed.success) return parsed.data;
  throw new UsageError(parsed.error.issues.map(({ path, message }) => problemText(path.join("."), message)).join("\n"));
}

/** The fields at a path or below it. @throws {UsageError} for a path that no policy has */
export function fieldsBelow(path: string): PolicyField[] {
  const found = policyFields().filter((field) => field.path === path || field.path.startsWith(`${path}.`));
  if (found.length === 0) throw unknownPath(path);
  return found;
}

function assign(document: unknown, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  const place = keys.reduce((at, key) => (hasOwn(at, key) ? at[key] : undefined), document);
  if (!hasOwn(place, last)) throw unknownPath(path);
  place[last] = value;
}

function hasOwn(value: unknown, key: string): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key);
}

function problemText(path: string, message: string): string {
  const field = policyFields().find((one) => path === one.path || path.startsWith(`${one.path}.`));
  const allowed = field ? `; it takes ${allowedText(field.schema)}${field.unit && ` (${field.unit})`}` : "";
  return `${path}: ${message}${allowed}`;
}

function unknownPath(path: string): UsageError {
  const [section = ""] = path.split(".");
  const fields = policyFields().map((field) => field.path);
  const near = fields.filter((field) => field.startsWith(`${section}.`));
  const sections = [...new Set(fields.map((field) => field.split(".")[0]))];
  const known = near.length > 0 ? near : sections;
  return new UsageError(`there is no ${path} in the policy, but ${known.join(", ")}`);
}
