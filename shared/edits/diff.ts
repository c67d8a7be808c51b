/** A run of changed words: `from` was taken out at word `at` of the first text, `to` was put in. */
export interface Span {
  readonly at: number;
  readonly from: readonly string[];
  readonly to: readonly string[];
}

export interface WordDiff {
  readonly spans: readonly Span[];
  /** Words put in, taken out or replaced (Levenshtein distance on words). */
  readonly distance: number;
}

/** Cells of the alignment table; texts that need more are taken as changed throughout. */
const MAX_CELLS = 1_000_000;

/** The least changes that turn the words `a` into the words `b`, gathered into spans. O(n m) after common ends are cut. */
export function wordDiff(a: readonly string[], b: readonly string[]): WordDiff {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const from = a.slice(head, a.length - tail);
  const to = b.slice(head, b.length - tail);
  if (from.length === 0 && to.length === 0) return { spans: [], distance: 0 };
  if (from.length === 0 || to.length === 0 || from.length * to.length > MAX_CELLS) {
    return { spans: [{ at: head, from, to }], distance: Math.max(from.length, to.length) };
  }
  return trace(from, to, head);
}

function trace(a: readonly string[], b: readonly string[], offset: number): WordDiff {
  const width = b.length + 1;
  const rest = new Uint32Array((a.length + 1) * width); // distance of a[i..] to b[j..]
  const at = (i: number, j: number) => rest[i * width + j] ?? 0;
  for (let i = a.length; i >= 0; i--) {
    for (let j = b.length; j >= 0; j--) {
      if (i === a.length || j === b.length) rest[i * width + j] = a.length - i + (b.length - j);
      else if (a[i] === b[j]) rest[i * width + j] = at(i + 1, j + 1);
      else rest[i * width + j] = 1 + Math.min(at(i + 1, j + 1), at(i + 1, j), at(i, j + 1));
    }
  }
  const spans: { at: number; from: string[]; to: string[] }[] = [];
  let open: (typeof spans)[number] | undefined;
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const [x, y] = [a[i], b[j]];
    if (x !== undefined && x === y) {
      open = undefined;
      i++;
      j++;
      continue;
    }
    if (!open) {
      open = { at: offset + i, from: [], to: [] };
      spans.push(open);
    }
    const here = at(i, j);
    const replace = x !== undefined && y !== undefined && here === 1 + at(i + 1, j + 1);
    const remove = x !== undefined && here === 1 + at(i + 1, j);
    if ((replace || remove) && x !== undefined) {
      open.from.push(x);
      i++;
    }
    if ((replace || !remove) && y !== undefined) {
      open.to.push(y);
      j++;
    }
  }
  return { spans, distance: at(0, 0) };
}
