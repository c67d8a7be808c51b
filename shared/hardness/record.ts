import { LEVELS } from "../taxonomy/taxonomy.ts";
import { byKey, canonicalJson } from "./canonical.ts";
import { packNumbers, unpackNumbers } from "./packed.ts";
import { ALARMS, type LevelState, type Plan, type PlanInputs, type RegionState } from "./state.ts";

/** Of encoded inputs. It rises with every change of the encoding or of what a plan makes of its inputs. */
export const FORMAT = 2;

/** Members with few different values: each value is written once, then its place per region. By what values are told apart. */
const NAMED = {
  offered: ({ offered }: RegionState) => offered.reduce((digits, level) => 10 * digits + level, 0),
  alarms: bitsOf,
} as const;
/** A column each. */
const NUMBERS = [
  "failures",
  "exposures",
  "failureMass",
  "newFailures",
  "newExposures",
  "abilityMean",
  "abilityVar",
  "level",
  "stairLevel",
  "costTokens",
  "costMicros",
  "chosenLogRatio",
  "backlog",
  "scored",
  "editable",
  "ownAnswers",
] as const;

/** A column of numbers: itself where all are whole, so that people can read it, else packed. */
type Numbers = readonly number[] | string;
interface Named {
  /** In the order in which the regions, by key, show them. */
  readonly values: readonly unknown[];
  readonly places: readonly number[];
}

/** The text of encoded inputs. */
interface Document extends Omit<PlanInputs, "regions"> {
  readonly format: number;
  readonly regions: {
    /** Task, error type, language and modality are its parts. */
    readonly key: readonly string[];
    readonly plannedAt: readonly (number | null)[];
    readonly named: Readonly<Record<keyof typeof NAMED, Named>>;
    readonly numbers: Readonly<Record<(typeof NUMBERS)[number], Numbers>>;
    readonly levels: {
      /** Per region the sum of 2 ** (level - 1) over the levels that have counts. */
      readonly tried: readonly number[];
      /** Of those levels, in their order. */
      readonly attempted: Numbers;
      readonly refused: Numbers;
    };
  };
}

/**
 * All that a plan was made of as one JSON text, column by column: the same inputs give the same bytes, in whatever order the
 * regions come.
 * @throws {TypeError} for a number that is not finite
 */
export function encodeInputs(inputs: PlanInputs): string {
  const { regions: unordered, ...rest } = inputs;
  const regions = byKey(unordered);
  const { plannedAt, tried, attempted, refused, ...columns } = columnsOf(regions);
  const encoded = object({
    key: JSON.stringify(regions.map(({ key }) => key)),
    levels: object({ tried: JSON.stringify(tried), attempted: numbers(attempted), refused: numbers(refused) }),
    named: object(mapOf(NAMED, (handleOf, name) => named(regions, handleOf, name))),
    numbers: object(mapOf(columns, numbers)),
    plannedAt: JSON.stringify(plannedAt),
  });
  const head = Object.entries(rest).map(([name, value]) => [name, canonicalJson(value)]);
  return object({ ...Object.fromEntries(head), format: canonicalJson(FORMAT), regions: encoded });
}

/**
 * Undoes `encodeInputs`; the regions come in the order of their keys.
 * @throws {RangeError} for a text of another format
 */
export function decodeInputs(text: string): PlanInputs {
  const { format: _, regions: columns, ...rest } = parse(text);
  const { key, plannedAt } = columns;
  const length = key.length;
  const members: Readonly<Record<string, ArrayLike<unknown>>> = {
    plannedAt,
    ...mapOf(columns.named, (column) => namedOf(column, length)),
    ...mapOf(columns.numbers, (column) => numbersOf(column, length)),
  };
  const named = Object.entries(members);
  const levels = levelsOf(columns.levels, length);
  const regions = key.map((own, i) => {
    const [task, errorType, language, modality] = own.split("/");
    const region: Record<string, unknown> = { key: own, task, errorType, language, modality, levels: levels[i] };
    for (const [name, values] of named) region[name] = values[i];
    return region as unknown as RegionState;
  });
  return { ...rest, regions };
}

/** A plan as one JSON text. */
export function encodePlan(plan: Plan): string {
  return canonicalJson(plan);
}

function parse(text: string): Document {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new RangeError("not the inputs of a plan: no JSON");
  }
  const format = (parsed as { format?: unknown } | null)?.format;
  if (format !== FORMAT) {
    throw new RangeError(
      `inputs of format ${JSON.stringify(format ?? "unknown")} cannot be read: this is format ${FORMAT}`,
    );
  }
  return parsed as Document;
}

type Columns = Record<(typeof NUMBERS)[number] | "tried" | "attempted" | "refused", number[]> & {
  plannedAt: (number | null)[];
};

/** The regions' numbers, column by column, in one pass: to go through so many regions for each column takes many times as long. */
function columnsOf(regions: readonly RegionState[]): Columns {
  const names = [...NUMBERS, "plannedAt", "tried"] as const;
  const columns = {
    ...(Object.fromEntries(names.map((name) => [name, new Array(regions.length)])) as Columns),
    attempted: [],
    refused: [],
  } as Columns;
  for (let i = 0; i < regions.length; i++) {
    const region = regions[i] as RegionState;
    columns.failures[i] = region.failures;
    columns.exposures[i] = region.exposures;
    columns.failureMass[i] = region.failureMass;
    columns.newFailures[i] = region.newFailures;
    columns.newExposures[i] = region.newExposures;
    columns.abilityMean[i] = region.abilityMean;
    columns.abilityVar[i] = region.abilityVar;
    columns.level[i] = region.level;
    columns.stairLevel[i] = region.stairLevel;
    columns.costTokens[i] = region.costTokens;
    columns.costMicros[i] = region.costMicros;
    columns.chosenLogRatio[i] = region.chosenLogRatio;
    columns.backlog[i] = region.backlog;
    columns.scored[i] = region.scored;
    columns.editable[i] = region.editable;
    columns.ownAnswers[i] = region.ownAnswers;
    columns.plannedAt[i] = region.plannedAt;
    columns.tried[i] = addLevels(region, columns);
  }
  return columns;
}

/** Adds the levels that have counts; returns which these are. */
function addLevels({ levels }: RegionState, { attempted, refused }: Columns): number {
  let tried = 0;
  for (let index = 0; index < LEVELS.length; index++) {
    const level = levels[index as 0 | 1 | 2 | 3];
    if (level.attempted === 0 && level.refused === 0) continue;
    tried |= 1 << index;
    attempted.push(level.attempted);
    refused.push(level.refused);
  }
  return tried;
}

function levelsOf({ tried, attempted, refused }: Document["regions"]["levels"], length: number): LevelState[][] {
  const bits = numbersOf(tried, length);
  const present = tried.reduce((sum, which) => sum + LEVELS.filter((level) => which & (1 << (level - 1))).length, 0);
  const counts = { attempted: numbersOf(attempted, present), refused: numbersOf(refused, present) };
  let at = 0;
  return Array.from(bits, (which) =>
    LEVELS.map((level) => {
      if ((which & (1 << (level - 1))) === 0) return { attempted: 0, refused: 0 };
      const state = { attempted: counts.attempted[at] ?? 0, refused: counts.refused[at] ?? 0 };
      at += 1;
      return state;
    }),
  );
}

function numbers(values: readonly number[]): string {
  let whole = true;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (Number.isInteger(value)) continue;
    if (!Number.isFinite(value)) throw new TypeError(`not a finite number: ${value}`);
    whole = false;
  }
  return whole ? JSON.stringify(values) : `"${packNumbers(values)}"`;
}

function numbersOf(stored: Numbers, length: number): Float64Array {
  const found = typeof stored === "string" ? unpackNumbers(stored) : Float64Array.from(stored);
  if (found.length !== length) throw new RangeError(`${found.length} numbers where ${length} are due`);
  return found;
}

function namedOf({ values, places }: Named, length: number): unknown[] {
  if (places.length !== length) throw new RangeError(`${places.length} values where ${length} are due`);
  return places.map((place) => values[place]);
}

function named(
  regions: readonly RegionState[],
  handleOf: (region: RegionState) => number,
  name: keyof typeof NAMED,
): string {
  const seen = new Map<number, number>();
  const texts: string[] = [];
  const places: number[] = new Array(regions.length);
  for (let i = 0; i < places.length; i++) {
    const region = regions[i] as RegionState;
    const handle = handleOf(region);
    let place = seen.get(handle);
    if (place === undefined) {
      place = texts.push(JSON.stringify(region[name])) - 1;
      seen.set(handle, place);
    }
    places[i] = place;
  }
  return object({ places: JSON.stringify(places), values: `[${texts.join()}]` });
}

/** Alarms come in the order of `ALARMS`. */
function bitsOf({ alarms }: RegionState): number {
  let bits = 0;
  for (const alarm of alarms) bits |= 1 << ALARMS.indexOf(alarm);
  return bits;
}

/** A JSON object of members that are JSON already, by name. */
function object(members: Readonly<Record<string, string>>): string {
  let text = "";
  for (const name of Object.keys(members).sort()) text += `${text && ","}${JSON.stringify(name)}:${members[name]}`;
  return `{${text}}`;
}

function mapOf<Name extends string, From, To>(
  from: Readonly<Record<Name, From>>,
  toOf: (from: From, name: Name) => To,
): Record<Name, To> {
  const entries = Object.entries(from) as [Name, From][];
  return Object.fromEntries(entries.map(([name, value]) => [name, toOf(value, name)])) as Record<Name, To>;
}
