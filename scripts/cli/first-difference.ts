/** Characters of a value that are shown. */
const SHOWN_CHARS = 80;

/** Where two JSON texts first say something else, as `lines.3.pairs: 45 / 50`; null when they say the same. */
export function firstDifference(a: string, b: string): string | null {
  const [left, right]: unknown[] = [JSON.parse(a), JSON.parse(b)];
  return differenceAt("", left, right);
}

function differenceAt(path: string, a: unknown, b: unknown): string | null {
  if (!isTree(a) || !isTree(b) || Array.isArray(a) !== Array.isArray(b)) {
    return Object.is(a, b) ? null : `${path || "the whole"}: ${shown(a)} / ${shown(b)}`;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = differenceAt(path === "" ? key : `${path}.${key}`, a[key], b[key]);
    if (found !== null) return found;
  }
  return null;
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}...` : text;
}
