import type { RegionTotal } from "../../shared/hardness/client-share.ts";
import { jsonArrays } from "./chunks.ts";

/** SQL of what reports weigh: `counted` of them, `tagged` of these with an error type that the client told. */
export const REPORT_WEIGHT = (counted: string, tagged: string) => `(${counted} + ${tagged}) / 2.0`;

/** What one client reported in one task, language and modality since the last tick. */
export interface ClientReports {
  readonly clientId: string;
  /** task/language/modality */
  readonly cell: string;
  /** Whether what counts of them is limited; the reports of some clients speak for many users. */
  readonly limited: boolean;
  /** Events with a verdict. */
  readonly exposures: number;
  /** Weight of the wrong answers that count. */
  readonly counted: number;
  /** JSON, by region: its key, its exposures, and what counts in it, tagged and all. */
  readonly regions: string;
}

/** What counts of a client's wrong answers in each of the regions. */
export function weightsOf({ clientId, regions }: ClientReports): RegionTotal[] {
  const rows = JSON.parse(regions) as [region: string, exposures: number, counted: number, tagged: number][];
  return rows.map(([region, , counted, tagged]) => ({ clientId, region, counted: (counted + tagged) / 2 }));
}

/** Reads every row once. A client is limited if its cap is at most `reportCap`. */
export function reportsQuery(db: D1Database, reportCap: number): D1PreparedStatement {
  return db
    .prepare(
      `SELECT c.id AS clientId, substr(region, 1, instr(region, '/') - 1) || substr(kind, instr(kind, '/')) AS cell,
              c.report_cap <= ?1 AS limited, sum(exposures) AS exposures, sum(${REPORT_WEIGHT("counted", "tagged")}) AS counted,
              json_group_array(json_array(region, exposures, counted, tagged)) AS regions
       FROM (SELECT *, substr(region, instr(region, '/') + 1) AS kind FROM region_reports) r
       JOIN clients c ON c.id = r.client_id
       GROUP BY c.id, cell ORDER BY c.id, cell`,
    )
    .bind(reportCap);
}

/**
 * Takes away what a tick has counted, so that every client's reports count anew, but for those that came since it read. Each
 * report raises the exposures of its row: those that are as they were read have had none since.
 */
export function forgetReports(db: D1Database, reports: readonly ClientReports[]): D1PreparedStatement[] {
  const chunks = jsonArrays(reports.map(({ clientId, regions }) => `[${JSON.stringify(clientId)},${regions}]`));
  const read = `jsonb_each(?1) client CROSS JOIN jsonb_each(client.value, '$[1]') seen`;
  const key = "client_id = client.value ->> 0 AND region = seen.value ->> 0";
  return chunks.flatMap((chunk) => [
    db
      .prepare(
        `DELETE FROM region_reports WHERE rowid IN (
           SELECT r.rowid FROM ${read} CROSS JOIN region_reports r ON ${key} AND exposures = seen.value ->> 1)`,
      )
      .bind(chunk),
    db
      .prepare(
        `UPDATE region_reports SET exposures = exposures - (seen.value ->> 1), counted = counted - (seen.value ->> 2),
           tagged = tagged - (seen.value ->> 3) FROM ${read} WHERE ${key}`,
      )
      .bind(chunk),
  ]);
}
