/**
 * JSON with one spelling per value, for hashing and replay: keys sorted by code unit, no spaces, members that are
 * undefined left out, -0 written as 0.
 * @throws {TypeError} for what JSON cannot say: numbers that are not finite, functions, symbols, big integers, undefined in a list
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`not a JSON number: ${value}`);
    return JSON.stringify(value);
  }
  if (typeof value !== "object") throw new TypeError(`not a JSON value: ${typeof value}`);
  let text = "";
  if (Array.isArray(value)) {
    for (const item of value) text += `${text && ","}${canonicalJson(item)}`;
    return `[${text}]`;
  }
  for (const name of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[name];
    if (member !== undefined) text += `${text && ","}${JSON.stringify(name)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}

/** In the order of their keys, by code unit; what is in order already is not sorted again. */
export function byKey<T extends { readonly key: string }>(items: readonly T[]): readonly T[] {
  const inOrder = items.every(({ key }, i) => i === 0 || (items[i - 1]?.key ?? "") < key);
  return inOrder ? items : [...items].sort((a, b) => (a.key < b.key ? -1 : 1));
}
