/** One counter of Prometheus: `labels` as it writes them, `status="stored"`; empty for none. */
export interface MetricRow {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

/** The statement that adds to counters. */
export function addMetricsStatement(db: D1Database, rows: readonly MetricRow[]): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO metrics (name, labels, value)
       SELECT value ->> 'name', value ->> 'labels', value ->> 'value' FROM json_each(?1) WHERE true
       ON CONFLICT (name, labels) DO UPDATE SET value = value + excluded.value`,
    )
    .bind(JSON.stringify(rows));
}

/** Every counter, in the order of names and labels. */
export async function readMetrics(db: D1Database): Promise<MetricRow[]> {
  const { results } = await db
    .prepare("SELECT name, labels, value FROM metrics ORDER BY name, labels")
    .all<MetricRow>();
  return results;
}
