import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { imagesOf } from "../../shared/contracts/common.ts";
import { type Entry, isAcknowledged, type Ledger } from "./ledger.ts";

/** Looks into the store of an edge that is stopped, and holds it against what the clients know. */

interface FailureRow {
  readonly id: string;
  readonly client_id: string;
  readonly event_id: string;
  readonly occurred_at: number;
  readonly model: string;
  readonly conversation: string;
  readonly response: string;
  readonly reference: string | null;
  readonly verdict: string;
  readonly region: string;
  readonly held: string | null;
}

interface SourceRow {
  readonly failure_id: string | null;
  readonly conversation: string;
  readonly answer: string;
  readonly own_answer: string | null;
  readonly images: string;
}

interface RegionRow {
  readonly key: string;
  readonly total_failures: number;
  readonly total_exposures: number;
}

export interface Audit {
  readonly stored: number;
  readonly sources: number;
  /** What is wrong with the store, in words; nothing else may be in it. */
  readonly problems: readonly string[];
  /** Events that were answered `queued` and are not stored yet. */
  readonly waiting: number;
}

/** Problems that are told; there may be more of the same kind. */
const PROBLEMS_TOLD = 20;

/** @param state the folder of the stopped edge */
export function audit(state: string, ledgers: readonly Ledger[]): Audit {
  const folder = join(state, "edge", "d1", "miniflare-D1DatabaseObject");
  const file = readdirSync(folder).find((name) => /^[0-9a-f]+\.sqlite$/.test(name));
  if (!file) throw new Error(`there is no database in ${folder}`);
  const database = new DatabaseSync(join(folder, file), { readOnly: true });
  try {
    const failures = database.prepare("SELECT * FROM failures").all() as unknown as FailureRow[];
    const sources = database.prepare("SELECT * FROM sources").all() as unknown as SourceRow[];
    const regions = database.prepare("SELECT key, total_failures, total_exposures FROM regions").all();
    const { problems, waiting } = checkEvents(ledgers, failures, sources);
    problems.push(...checkRegions(failures, regions as unknown as RegionRow[]));
    return { stored: failures.length, sources: sources.length, problems: problems.slice(0, PROBLEMS_TOLD), waiting };
  } finally {
    database.close();
  }
}

/** Every acknowledged event is there once, with its content and its source, and nothing is there that was never sent. */
function checkEvents(ledgers: readonly Ledger[], failures: readonly FailureRow[], sources: readonly SourceRow[]) {
  const problems: string[] = [];
  let waiting = 0;
  const rowsOf = Map.groupBy(failures, (row) => `${row.client_id} ${row.event_id}`);
  const sourcesOf = Map.groupBy(sources, (row) => row.failure_id);
  for (const { clientId, entries } of ledgers) {
    for (const entry of entries) {
      const name = `${clientId} ${entry.event.eventId}`;
      const [row, ...more] = rowsOf.get(name) ?? [];
      rowsOf.delete(name);
      if (row) {
        const found = [...differences(entry, row), ...sourceProblems(entry, row, sourcesOf.get(row.id) ?? [])];
        if (more.length > 0) found.push(`is stored ${more.length + 1} times`);
        problems.push(...found.map((text) => `${name} ${text}`));
        sourcesOf.delete(row.id);
      } else if (entry.answers.stored || entry.answers.duplicate) {
        problems.push(`${name} was acknowledged (${JSON.stringify(entry.answers)}) and is lost`);
      } else if (isAcknowledged(entry)) waiting += 1;
      if ((entry.answers.stored ?? 0) > 1) problems.push(`${name} was answered "stored" ${entry.answers.stored} times`);
    }
  }
  for (const name of rowsOf.keys()) problems.push(`${name} is stored, but was never sent`);
  for (const id of sourcesOf.keys()) problems.push(`there is a source of ${id}, which was never sent`);
  return { problems, waiting };
}

function differences({ event, expected }: Entry, row: FailureRow): string[] {
  const pairs: [name: string, stored: unknown, meant: unknown][] = [
    ["occurred_at", row.occurred_at, event.occurredAt],
    ["model", row.model, event.model],
    ["conversation", JSON.stringify(JSON.parse(row.conversation)), JSON.stringify(event.conversation)],
    ["response", row.response, event.response],
    ["reference", row.reference, event.correction ?? null],
    ["verdict", row.verdict, expected.verdict],
    ["region", row.region, expected.region ?? row.region],
    ["held", row.held, null],
  ];
  return pairs
    .filter(([, stored, meant]) => stored !== meant)
    .map(([name, stored, meant]) => `has ${name} ${stored} instead of ${meant}`);
}

function sourceProblems({ event, expected }: Entry, row: FailureRow, sources: readonly SourceRow[]): string[] {
  const wanted = expected.answer === null ? 0 : 1;
  if (sources.length !== wanted) return [`has ${sources.length} sources instead of ${wanted}`];
  return sources.flatMap((source) => {
    const images = JSON.stringify(imagesOf(event.conversation));
    const meant = [expected.answer, expected.verdict === "wrong" ? event.response : null, row.conversation, images];
    const stored = [source.answer, source.own_answer, source.conversation, source.images];
    return meant.every((value, index) => value === stored[index]) ? [] : ["has a source with another content"];
  });
}

/** Statistics are what the stored events add up to: failures in their own region, exposures in all regions of one cell. */
function checkRegions(failures: readonly FailureRow[], regions: readonly RegionRow[]): string[] {
  const judged = failures.filter((row) => row.verdict !== "unjudged" && row.held === null);
  const wrong = Map.groupBy(
    judged.filter((row) => row.verdict === "wrong"),
    (row) => row.region,
  );
  const exposed = Map.groupBy(judged, (row) => cellOf(row.region));
  const known = new Set(regions.map(({ key }) => key));
  const missing = [...new Set(judged.map((row) => row.region))].filter((key) => !known.has(key));
  return [
    ...missing.map((key) => `region ${key} is missing`),
    ...regions.flatMap(({ key, total_failures, total_exposures }) => {
      const meant = [wrong.get(key)?.length ?? 0, exposed.get(cellOf(key))?.length ?? 0];
      if (meant[0] === total_failures && meant[1] === total_exposures) return [];
      return [`region ${key} counts ${total_failures} of ${total_exposures}, its events are ${meant.join(" of ")}`];
    }),
  ];
}

/** A region without its error type: an event could have failed in each of them. */
function cellOf(region: string): string {
  const [task, , language, modality] = region.split("/");
  return `${task}/${language}/${modality}`;
}
