import { levelsOf } from "../../shared/edits/index.ts";
import { type RateWatch, type RoundWatch, readRateWatch, readRoundWatch } from "../../shared/hardness/alarms.ts";
import type { Alarm, Difficulties, LevelState, RegionState } from "../../shared/hardness/state.ts";
import { type ErrorType, LEVELS, type Level } from "../../shared/taxonomy/taxonomy.ts";
import { type ClientReports, reportsQuery } from "./region-reports.ts";

/**
 * What is stored of one region: a state with nothing to edit and no alarm. A tick puts in what it finds out beside that, since
 * copies of tens of thousands of regions would cost more than a plan.
 */
export interface RegionStatistics extends RegionState {
  newFailures: number;
  newExposures: number;
  editable: number;
  ownAnswers: number;
  alarms: readonly Alarm[];
  rateWatch: RateWatch;
  /** The new failures and exposures, whoever reported them. */
  readonly countedFailures: number;
  readonly countedExposures: number;
  /** ms; null: it is planned for. */
  readonly archivedAt: number | null;
  /** Moving averages of the gaps of scored pairs and of their squares; nats. */
  readonly gapMean: number;
  readonly gapSquare: number;
  readonly roundWatch: RoundWatch;
  /** Pairs that wait to be trained on for the first time, by what the right answer says. */
  readonly waiting: Polarities;
}

export interface Polarities {
  readonly yes: number;
  readonly no: number;
}

/** What is known of the task space, read in one transaction. */
export interface Statistics {
  /** In the order of their keys, archived ones too. */
  readonly regions: readonly RegionStatistics[];
  readonly difficulties: Difficulties;
}

/** What a tick starts from, read in one transaction too. */
export interface TickStatistics extends Statistics {
  /** Of the newest tick; 0 before the first. The next one must be its successor, so that no two ticks start from one state. */
  readonly lastTick: number;
  readonly reports: readonly ClientReports[];
}

/** How many pairs of a level there are; those in a live lease are among them until their round ends. */
export interface LevelCounts extends Polarities {
  readonly level: Level;
  /** Never trained on; their right answers say neither yes nor no. */
  readonly open: number;
  /** Trained on and not mastered, and mastered. */
  readonly again: number;
  readonly saturated: number;
}

/** What a batch is chosen by. */
export interface StockStatistics extends Statistics {
  /** The levels that have any pairs, by region. */
  readonly counts: ReadonlyMap<string, readonly LevelCounts[]>;
}

/** What one row holds: numbers and texts. */
type RegionRow = Omit<
  RegionStatistics,
  | "newFailures"
  | "newExposures"
  | "editable"
  | "ownAnswers"
  | "offered"
  | "alarms"
  | "levels"
  | "rateWatch"
  | "roundWatch"
  | "waiting"
> &
  Record<"measured" | "waitingYes" | "waitingNo" | `attempted${Level}` | `refused${Level}`, number> &
  Record<`rate_${keyof RateWatch}` | `round_${keyof RoundWatch}`, number | null>;
interface DifficultyRow {
  readonly errorType: ErrorType;
  readonly level: Level;
  readonly difficulty: number;
}

const FRESH = { rate: readRateWatch("{}"), round: readRoundWatch("{}") } as const;

/** Rows have a region's columns as `RegionStatistics` names them, its two watches and its four levels. */
const REGION_COLUMNS = `r.key, r.task, r.error_type AS errorType, r.language, r.modality, r.failures, r.exposures,
  r.failure_mass AS failureMass, r.new_failures AS countedFailures, r.new_exposures AS countedExposures,
  r.ability_mean AS abilityMean, r.ability_var AS abilityVar, r.level, r.stair_level AS stairLevel,
  r.cost_tokens AS costTokens, r.cost_micros AS costMicros, r.chosen_log_ratio AS chosenLogRatio, r.backlog, r.scored,
  r.planned_at AS plannedAt, r.archived_at AS archivedAt, r.gap_mean AS gapMean, r.gap_square AS gapSquare,
  ${membersOf("r.rate_watch", "rate_", FRESH.rate)}, r.round_watch <> '{}' AS measured,
  ${membersOf("r.round_watch", "round_", FRESH.round)}, total(l.waiting_yes) AS waitingYes, total(l.waiting_no) AS waitingNo,
  ${LEVELS.map((level) => `${ofLevel("attempted", level)}, ${ofLevel("refused", level)}`)}`;
const REGIONS = "FROM regions r LEFT JOIN region_levels l ON l.region = r.key GROUP BY r.key ORDER BY r.key";
const COUNTED = `json_group_array(json_array(l.level, l.waiting_open, l.waiting_yes, l.waiting_no, l.again, l.saturated))
  FILTER (WHERE l.waiting_open + l.waiting_yes + l.waiting_no + l.again + l.saturated > 0)`;
const DIFFICULTIES = "SELECT error_type AS errorType, level, difficulty FROM difficulties ORDER BY error_type, level";

function membersOf(column: string, prefix: string, fresh: object): string {
  return Object.keys(fresh)
    .map((name) => `${column} ->> '${name}' AS ${prefix}${name}`)
    .join();
}

function ofLevel(column: string, level: Level): string {
  return `total(iif(l.level = ${level}, l.${column}, 0)) AS ${column}${level}`;
}

/** Reads every region, level and difficulty, and nothing else. */
export async function readStatistics(db: D1Database): Promise<Statistics> {
  return toStatistics(await db.batch(statisticsQueries(db)));
}

/** The same with the reports since the last tick. @param reportCap see `reportsQuery` */
export async function readForTick(db: D1Database, reportCap: number): Promise<TickStatistics> {
  const [ticks, reports, ...statistics] = await db.batch([
    db.prepare("SELECT coalesce(max(id), 0) AS last FROM ticks"),
    reportsQuery(db, reportCap),
    ...statisticsQueries(db),
  ]);
  return {
    lastTick: rows<{ last: number }>(ticks)[0]?.last ?? 0,
    reports: rows<ClientReports>(reports),
    ...toStatistics(statistics),
  };
}

function statisticsQueries(db: D1Database, more = ""): D1PreparedStatement[] {
  return [db.prepare(`SELECT ${REGION_COLUMNS}${more} ${REGIONS}`), db.prepare(DIFFICULTIES)];
}

function toStatistics([regions, difficulties]: readonly D1Result[]): Statistics {
  return {
    regions: statisticsOf(rows<RegionRow>(regions)),
    difficulties: toDifficulties(rows<DifficultyRow>(difficulties)),
  };
}

/** The statistics with what can be taken of each level; reads each region and level once, and no pair. */
export async function readStock(db: D1Database): Promise<StockStatistics> {
  const found = await db.batch(statisticsQueries(db, `, ${COUNTED} AS counts`));
  const counts = rows<{ readonly key: string; readonly counts: string }>(found[0]).flatMap(
    (row): [string, LevelCounts[]][] =>
      row.counts === "[]" ? [] : [[row.key, (JSON.parse(row.counts) as CountsRow[]).map(countsOf)]],
  );
  return { ...toStatistics(found), counts: new Map(counts) };
}

type CountsRow = readonly [level: Level, open: number, yes: number, no: number, again: number, saturated: number];

function countsOf([level, open, yes, no, again, saturated]: CountsRow): LevelCounts {
  return { level, open, yes, no, again, saturated };
}

/** The rows as regions. Names that are the same are the same text in memory, so that comparing them reads no letters. */
function statisticsOf(rows: readonly RegionRow[]): RegionStatistics[] {
  const names = new Map<string, string>();
  const one = (name: string) => {
    const known = names.get(name);
    if (known !== undefined) return known;
    names.set(name, name);
    return name;
  };
  return rows.map((row) => regionOf(row, one));
}

/** Member by member: there are tens of thousands, and a copy by spreading takes many times as long. */
function regionOf(row: RegionRow, one: (name: string) => string): RegionStatistics {
  const errorType = one(row.errorType);
  return {
    key: row.key,
    task: one(row.task),
    errorType,
    language: one(row.language),
    modality: one(row.modality),
    failures: row.failures,
    exposures: row.exposures,
    failureMass: row.failureMass,
    newFailures: row.countedFailures,
    newExposures: row.countedExposures,
    abilityMean: row.abilityMean,
    abilityVar: row.abilityVar,
    level: row.level,
    stairLevel: row.stairLevel,
    costTokens: row.costTokens,
    costMicros: row.costMicros,
    chosenLogRatio: row.chosenLogRatio,
    backlog: row.backlog,
    scored: row.scored,
    plannedAt: row.plannedAt,
    editable: 0,
    ownAnswers: 0,
    offered: levelsOf(errorType as ErrorType),
    alarms: NO_ALARMS,
    levels: levelStates(row),
    countedFailures: row.countedFailures,
    countedExposures: row.countedExposures,
    archivedAt: row.archivedAt,
    gapMean: row.gapMean,
    gapSquare: row.gapSquare,
    rateWatch: rateWatchOf(row),
    roundWatch: row.measured ? roundWatchOf(row) : FRESH.round,
    waiting: row.waitingYes + row.waitingNo > 0 ? { yes: row.waitingYes, no: row.waitingNo } : NONE_WAITING,
  };
}

const NO_ALARMS: readonly Alarm[] = [];
const NONE_WAITING: Polarities = { yes: 0, no: 0 };
const NEVER_TRIED: LevelState = { attempted: 0, refused: 0 };

function levelStates(row: RegionRow): RegionState["levels"] {
  return [
    levelState(row.attempted1, row.refused1),
    levelState(row.attempted2, row.refused2),
    levelState(row.attempted3, row.refused3),
    levelState(row.attempted4, row.refused4),
  ];
}

function levelState(attempted: number, refused: number): LevelState {
  return attempted > 0 ? { attempted, refused } : NEVER_TRIED;
}

function rateWatchOf(row: RegionRow): RateWatch {
  return {
    failures: row.rate_failures ?? FRESH.rate.failures,
    exposures: row.rate_exposures ?? FRESH.rate.exposures,
    spread: row.rate_spread ?? FRESH.rate.spread,
    rise: row.rate_rise ?? FRESH.rate.rise,
  };
}

function roundWatchOf(row: RegionRow): RoundWatch {
  return {
    innovation: row.round_innovation ?? FRESH.round.innovation,
    firstTried: row.round_firstTried ?? FRESH.round.firstTried,
    firstRight: row.round_firstRight ?? FRESH.round.firstRight,
    still: row.round_still ?? FRESH.round.still,
    abilityWas: row.round_abilityWas ?? FRESH.round.abilityWas,
  };
}

/** Whether anything was reported since the last tick. */
export async function hasNews(db: D1Database): Promise<boolean> {
  const row = await db.prepare("SELECT 1 FROM regions WHERE new_failures > 0 OR new_exposures > 0 LIMIT 1").first();
  return row !== null;
}

/** What the queued edits are expected to cost: tokens and micro-units; an edit of a region without a bill costs what the others do. */
export async function queuedCost(db: D1Database): Promise<{ tokens: number; micros: number }> {
  const row = await db
    .prepare(
      `SELECT coalesce(sum(iif(r.cost_tokens > 0, r.cost_tokens, billed.tokens)), 0) AS tokens,
              coalesce(sum(iif(r.cost_tokens > 0, r.cost_micros, billed.micros)), 0) AS micros
       FROM (SELECT coalesce(avg(cost_tokens), 0) AS tokens, coalesce(avg(cost_micros), 0) AS micros
             FROM regions WHERE cost_tokens > 0) billed
       CROSS JOIN edit_jobs j ON j.state = 'queued'
       CROSS JOIN regions r ON r.key = j.region`,
    )
    .first<{ tokens: number; micros: number }>();
  return row ?? { tokens: 0, micros: 0 };
}

function rows<T>(result: D1Result | undefined): T[] {
  return (result?.results ?? []) as T[];
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
