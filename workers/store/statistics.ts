import type { Difficulties, LevelState, RegionState } from "../../shared/hardness/state.ts";
import { type ErrorType, LEVELS, type Level } from "../../shared/taxonomy/taxonomy.ts";
import { imagesPresent } from "./pairs.ts";

/** What a tick starts from, read in one transaction. */
export interface Statistics {
  /** Of the newest tick; 0 before the first. The next one must be its successor, so that no two ticks start from one state. */
  readonly lastTick: number;
  readonly regions: readonly Omit<RegionState, "editable" | "ownAnswers">[];
  readonly difficulties: Difficulties;
}

/** What one row holds; levels and supply stand in other tables. */
type RegionRow = Omit<RegionState, "levels" | "editable" | "ownAnswers">;
interface LevelRow extends LevelState {
  readonly region: string;
  readonly level: Level;
}
interface DifficultyRow {
  readonly errorType: ErrorType;
  readonly level: Level;
  readonly difficulty: number;
}

/** A region's columns as `RegionState` names them. */
const REGION_COLUMNS = `key, task, error_type AS errorType, language, modality, failures, exposures,
  failure_mass AS failureMass, new_failures AS newFailures, new_exposures AS newExposures, ability_mean AS abilityMean,
  ability_var AS abilityVar, level, cost_tokens AS costTokens, chosen_log_ratio AS chosenLogRatio, backlog, scored,
  planned_at AS plannedAt`;

/** Reads every region, level and difficulty, and nothing else. */
export async function readStatistics(db: D1Database): Promise<Statistics> {
  const [ticks, regions, levels, difficulties] = await db.batch([
    db.prepare("SELECT coalesce(max(id), 0) AS last FROM ticks"),
    db.prepare(`SELECT ${REGION_COLUMNS} FROM regions ORDER BY key`),
    db.prepare("SELECT region, level, attempted, refused FROM region_levels ORDER BY region, level"),
    db.prepare("SELECT error_type AS errorType, level, difficulty FROM difficulties ORDER BY error_type, level"),
  ]);
  const levelsOf = Map.groupBy(rows<LevelRow>(levels), ({ region }) => region);
  return {
    lastTick: rows<{ last: number }>(ticks)[0]?.last ?? 0,
    regions: rows<RegionRow>(regions).map((row) => ({ ...row, levels: fourLevels(levelsOf.get(row.key) ?? []) })),
    difficulties: toDifficulties(rows<DifficultyRow>(difficulties)),
  };
}

/** Whether anything was reported since the last tick. */
export async function hasNews(db: D1Database): Promise<boolean> {
  const row = await db.prepare("SELECT 1 FROM regions WHERE new_failures > 0 OR new_exposures > 0 LIMIT 1").first();
  return row !== null;
}

/** Sources of one task, language and modality. */
export interface SourceGroup {
  readonly task: string;
  readonly language: string;
  readonly modality: string;
}

/** Which sources of a group are looked at. */
export interface Window {
  /** Those with fewer jobs than this, */
  readonly maxJobs: number;
  /** and of these the first so many: the fewest jobs first, then the newest. */
  readonly limit: number;
}

/** How many sources can still be edited, by the error type of their failure. */
export interface Supply {
  readonly errorType: string;
  readonly editable: number;
  /** Those the model got wrong and whose own answer was not ordered yet. */
  readonly ownAnswers: number;
}

/** What each group's sources in the window can give, if they have all their images: an index scan that ends with the window. */
export async function readSupply(db: D1Database, groups: readonly SourceGroup[], window: Window): Promise<Supply[][]> {
  if (groups.length === 0) return [];
  const statement = db.prepare(
    `SELECT error_type AS errorType, count(*) AS editable,
            sum(own_answer IS NOT NULL AND (jobs = 0 OR NOT EXISTS (SELECT 1 FROM edit_jobs j
                WHERE j.source_id = recent.id AND j.error_type = recent.error_type AND j.level = 4))) AS ownAnswers
     FROM (${editableSources("id, error_type, own_answer, images, jobs")}) recent
     WHERE ${imagesPresent("recent")} GROUP BY error_type ORDER BY error_type`,
  );
  const found = await db.batch<Supply>(
    groups.map(({ task, language, modality }) =>
      statement.bind(task, language, modality, window.maxJobs, window.limit),
    ),
  );
  return found.map(({ results }) => results);
}

/** The window of sources to edit: ?1 task, ?2 language, ?3 modality, ?4 jobs below, ?5 limit. */
export function editableSources(columns: string): string {
  return `SELECT ${columns} FROM sources WHERE split = 'train' AND task = ?1 AND language = ?2 AND modality = ?3
    AND jobs < ?4 ORDER BY jobs, created_at DESC LIMIT ?5`;
}

function rows<T>(result: D1Result | undefined): T[] {
  return (result?.results ?? []) as T[];
}

function fourLevels(found: readonly LevelRow[]): RegionState["levels"] {
  const [first, second, third, fourth] = LEVELS.map((level): LevelState => {
    const row = found.find((candidate) => candidate.level === level);
    return { attempted: row?.attempted ?? 0, refused: row?.refused ?? 0 };
  }) as [LevelState, LevelState, LevelState, LevelState];
  return [first, second, third, fourth];
}

/** Error types whose four levels are not all known keep the starting difficulties. */
function toDifficulties(found: readonly DifficultyRow[]): Difficulties {
  const known: Partial<Record<ErrorType, [number, number, number, number]>> = {};
  for (const [errorType, levels] of Map.groupBy(found, (row) => row.errorType)) {
    const [first, second, third, fourth] = levels.map(({ difficulty }) => difficulty);
    if (first === undefined || second === undefined || third === undefined || fourth === undefined) continue;
    known[errorType] = [first, second, third, fourth];
  }
  return known;
}
