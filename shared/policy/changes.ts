import { canonicalJson } from "../hardness/canonical.ts";

/** One field that differs. `path` is dotted; a value that is not there is null. */
export interface Change {
  readonly path: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** What differs between two JSON documents, in the order of their fields. A list is one value, whatever of it differs. */
export function changesBetween(a: object, b: object): Change[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
    changesAt(key, valueAt(a, key), valueAt(b, key)),
  );
}

function changesAt(path: string, from: unknown, to: unknown): Change[] {
  if (isSection(from) && isSection(to)) {
    return changesBetween(from, to).map((change) => ({ ...change, path: `${path}.${change.path}` }));
  }
  return canonicalJson(from) === canonicalJson(to) ? [] : [{ path, from, to }];
}

function valueAt(document: object, key: string): unknown {
  return Object.hasOwn(document, key) ? (document as Record<string, unknown>)[key] : null;
}

function isSection(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
