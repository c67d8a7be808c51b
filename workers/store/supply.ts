import { jsonChunks } from "./chunks.ts";
import { imagesPresent } from "./pairs.ts";

/** Sources of one task, language and modality. */
export interface SourceGroup {
  readonly task: string;
  readonly language: string;
  readonly modality: string;
}

/** `task/language/modality`: its name in what is read. */
export function groupKey({ task, language, modality }: SourceGroup): string {
  return `${task}/${language}/${modality}`;
}

/** Which sources of a group are looked at. */
export interface SourceWindow {
  readonly group: SourceGroup;
  /** The first so many: the fewest jobs first, then the newest. */
  readonly limit: number;
}

/** What the sources in the windows can give, by the number of the window. */
export interface Supply {
  /** Sources that can still be edited. */
  readonly editable: Uint32Array;
  /** By the error type of their failure: those the model got wrong and whose own answer was not ordered yet. */
  readonly ownAnswers: ReadonlyMap<string, Uint32Array>;
}

/**
 * What the groups' sources in their windows can give, if they have all their images. Index scans that end with the windows.
 * @param maxJobs sources with as many jobs are done
 */
export async function readSupply(db: D1Database, windows: readonly SourceWindow[], maxJobs: number): Promise<Supply> {
  type Row = { window: number; errorType: string; editable: number; ownAnswers: number };
  const found = await inWindows<Row>(
    db,
    windows,
    maxJobs,
    `SELECT asked.value ->> 3 AS "window", s.error_type AS errorType, count(*) AS editable,
            sum(s.own_answer IS NOT NULL AND (s.jobs = 0 OR NOT EXISTS (SELECT 1 FROM edit_jobs j
                WHERE j.source_id = s.id AND j.error_type = s.error_type AND j.level = 4))) AS ownAnswers
     FROM ${IN_WINDOWS} WHERE ${imagesPresent("s")} GROUP BY asked.key, s.error_type`,
  );
  const editable = new Uint32Array(windows.length);
  const ownAnswers = new Map<string, Uint32Array>();
  for (const row of found) {
    editable[row.window] = (editable[row.window] ?? 0) + row.editable;
    let own = ownAnswers.get(row.errorType);
    if (!own) {
      own = new Uint32Array(windows.length);
      ownAnswers.set(row.errorType, own);
    }
    own[row.window] = row.ownAnswers;
  }
  return { editable, ownAnswers };
}

/** A source that may be chosen for edits. */
export interface EditableSource {
  readonly id: string;
  readonly errorType: string;
  /** The deployed model answered otherwise. */
  readonly wrong: boolean;
  readonly polarity: "yes" | "no" | null;
  /** Jobs ordered so far. */
  readonly jobs: number;
  /** What was ordered: `errorType/level`. */
  readonly ordered: readonly string[];
}

/** The sources in the groups' windows, if they have all their images, by the groups' keys. */
export async function editableSources(
  db: D1Database,
  windows: readonly SourceWindow[],
  maxJobs: number,
): Promise<Map<string, EditableSource[]>> {
  type Row = Omit<EditableSource, "wrong" | "ordered"> & { group: string; wrong: number; ordered: string | null };
  const found = await inWindows<Row>(
    db,
    windows,
    maxJobs,
    `SELECT ${GROUP} AS "group", s.id, s.error_type AS errorType, s.own_answer IS NOT NULL AS wrong, s.polarity, s.jobs,
            iif(s.jobs = 0, NULL, (SELECT json_group_array(j.error_type || '/' || j.level) FROM edit_jobs j
              WHERE j.source_id = s.id)) AS ordered
     FROM ${IN_WINDOWS} WHERE ${imagesPresent("s")}`,
  );
  const sources = new Map<string, EditableSource[]>();
  for (const { group, wrong, ordered, ...source } of found) {
    const own = sources.get(group) ?? [];
    own.push({ ...source, wrong: wrong === 1, ordered: ordered === null ? [] : JSON.parse(ordered) });
    sources.set(group, own);
  }
  return sources;
}

const GROUP = "s.task || '/' || s.language || '/' || s.modality";

/** The sources `s` in the windows ?1, JSON of [task, language, modality, number] each; ?2 jobs below, ?3 the windows' limit. */
const IN_WINDOWS = `json_each(?1) asked CROSS JOIN sources s ON s.rowid IN (
  SELECT first.rowid FROM sources first WHERE first.split = 'train' AND first.task = asked.value ->> 0
    AND first.language = asked.value ->> 1 AND first.modality = asked.value ->> 2 AND first.jobs < ?2
  ORDER BY first.jobs, first.created_at DESC LIMIT ?3)`;

/** Runs a statement on `IN_WINDOWS` once for all groups with the same limit: SQLite takes no limit from a row. */
async function inWindows<Row>(
  db: D1Database,
  windows: readonly SourceWindow[],
  maxJobs: number,
  sql: string,
): Promise<Row[]> {
  if (windows.length === 0) return [];
  const statement = db.prepare(sql);
  const numbered = windows.map(({ group: { task, language, modality }, limit }, number) => ({
    limit,
    asked: [task, language, modality, number],
  }));
  const found = await db.batch<Row>(
    [...Map.groupBy(numbered, ({ limit }) => limit)].flatMap(([limit, alike]) =>
      jsonChunks(alike.map(({ asked }) => asked)).map((groups) => statement.bind(groups, maxJobs, limit)),
    ),
  );
  return found.flatMap(({ results }) => results);
}
