import fc from "fast-check";

/** One change to a JSON value: what is at a place goes, or becomes something else, or gets company. */
export interface Mutation {
  /** Chooses the place among all places of the value. */
  readonly at: number;
  readonly how: "remove" | "replace" | "add";
  readonly value: unknown;
}

const DEEP = 400;
const LONG = 40_000;

/** What fits nowhere, or only just. */
const ODD: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -0, -1, 0.5, 1e308, 2 ** 53 + 2, "", " ", [], {}, [[]]),
  fc.constantFrom(
    "\ud800",
    "a\udfff",
    "\u0000",
    "\ufeff",
    "\u202e",
    "__proto__",
    "constructor",
    "'; DROP TABLE failures; --",
  ),
  fc.integer({ min: 1, max: LONG }).map((length) => "x".repeat(length)),
  fc.integer({ min: 1, max: 700 }).map((length) => Array.from({ length }, () => ({}))),
  fc.integer({ min: 1, max: DEEP }).map(nested),
  fc.jsonValue({ maxDepth: 2 }),
);

export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    at: fc.nat(10_000),
    how: fc.constantFrom("remove" as const, "replace" as const, "add" as const),
    value: ODD,
  }),
  { minLength: 1, maxLength: 3 },
);

export function mutate(value: unknown, changes: readonly Mutation[]): unknown {
  return changes.reduce(mutateOnce, value);
}

function mutateOnce(value: unknown, { at, how, value: odd }: Mutation): unknown {
  const copy = structuredClone(value);
  const places = placesOf(copy);
  const place = places[at % Math.max(1, places.length)];
  if (!place) return odd;
  const { parent, key } = place;
  if (how === "remove") {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
  } else if (how === "replace") define(parent, key, odd);
  else if (Array.isArray(parent)) parent.push(odd);
  else define(parent, typeof odd === "string" ? odd.slice(0, 100) : "extra", odd);
  return copy;
}

/** Also for names that mean something to JavaScript. */
function define(parent: Container, key: string, value: unknown): void {
  Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

type Container = Record<string, unknown> | (unknown[] & Record<string, unknown>);
interface Place {
  readonly parent: Container;
  readonly key: string;
}

function placesOf(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const parent = value as Container;
  return Object.entries(parent).flatMap(([key, child]) => [{ parent, key }, ...placesOf(child)]);
}

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}
