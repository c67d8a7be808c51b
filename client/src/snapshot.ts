import { API_LIMITS } from "./events.ts";

/** Above what an event within the API's limits can need. */
const NODES_MAX = 50_000;
const DEPTH_MAX = 16;
/** No character takes less than one byte. */
const CHARS_MAX = API_LIMITS.intakeBytes;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** An event that can never be sent. The message says why, without quoting it. */
export class BadEvent extends Error {}

/**
 * A plain copy of what JSON can say, made with bounded work. Every getter runs once; `undefined` and functions are left out.
 * @throws {BadEvent} for cycles, bigints, numbers that are not finite, and anything too large
 */
export function snapshot(value: unknown): Json | undefined {
  let nodes = 0;
  let chars = 0;

  function counted(text: string): string {
    chars += text.length;
    if (chars > CHARS_MAX) throw new BadEvent(`more than ${CHARS_MAX} characters`);
    return text;
  }

  function copy(item: unknown, depth: number): Json | undefined {
    nodes += 1;
    if (nodes > NODES_MAX) throw new BadEvent(`more than ${NODES_MAX} values`);
    if (typeof item === "string") return counted(item);
    if (typeof item === "bigint") throw new BadEvent("a bigint is not JSON");
    if (typeof item === "number" && !Number.isFinite(item)) throw new BadEvent(`${item} is not JSON`);
    if (item === null || typeof item === "boolean" || typeof item === "number") return item;
    if (typeof item !== "object") return undefined;
    if (depth > DEPTH_MAX) throw new BadEvent("nested too deeply, or a cycle");
    if (Array.isArray(item)) return copyArray(item, depth);
    if (ArrayBuffer.isView(item)) throw new BadEvent("bytes are not JSON");
    if (item instanceof Date) return counted(item.toISOString());
    const entries: [string, Json][] = [];
    for (const key of Object.keys(item)) {
      const field = copy((item as Record<string, unknown>)[key], depth + 1);
      if (field !== undefined) entries.push([counted(key), field]);
    }
    return Object.fromEntries(entries);
  }

  function copyArray(items: readonly unknown[], depth: number): Json[] {
    const copies: Json[] = [];
    for (let index = 0; index < items.length; index++) copies.push(copy(items[index], depth + 1) ?? null);
    return copies;
  }

  return copy(value, 0);
}
