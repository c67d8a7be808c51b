/** A known pair that rounds score and never train on. */
export interface Sentinel {
  readonly id: string;
  readonly region: string;
}

/** The sentinels that were not scored for the longest time; reads as many rows as it gives. */
export async function oldestSentinels(db: D1Database, limit: number): Promise<Sentinel[]> {
  const found = await db
    .prepare("SELECT id, region FROM pairs WHERE sentinel = 1 ORDER BY scored_at, id LIMIT ?1")
    .bind(limit)
    .all<Sentinel>();
  return found.results;
}

/** How a batch's lines name a sentinel, as it is and with its answers swapped. */
export function sentinelLines(id: string): [asItIs: string, swapped: string] {
  return [`sentinel:${id}`, `sentinel:${id}:swapped`];
}

const LINE = /^sentinel:(.+?)(:swapped)?$/s;

/** What a line's name says; null for lines of other pairs. */
export function readSentinelLine(line: string): { readonly sentinel: string; readonly swapped: 0 | 1 } | null {
  const [, sentinel, swapped] = LINE.exec(line) ?? [];
  return sentinel === undefined ? null : { sentinel, swapped: swapped === undefined ? 0 : 1 };
}
