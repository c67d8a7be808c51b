import type { Reads } from "./reads.ts";

/** The database, adding up what is read. Answers of `raw` tell nothing and are left out: the newest policy is read by it. */
export function counting(db: D1Database, reads: Reads): D1Database {
  const inner = new WeakMap<object, { readonly statement: D1PreparedStatement; readonly sql: string }>();
  const count = <T>(sql: string, result: D1Result<T>): D1Result<T> => {
    reads.statements += 1;
    reads[purposeOf(sql)] += result.meta.rows_read;
    return result;
  };
  const watch = (statement: D1PreparedStatement, sql: string): D1PreparedStatement => {
    const watched = {
      bind: (...params: unknown[]) => watch(statement.bind(...params), sql),
      all: async () => count(sql, await statement.all()),
      run: async () => count(sql, await statement.run()),
      raw: () => statement.raw(),
      first: async () => count(sql, await statement.all()).results[0] ?? null,
    } as unknown as D1PreparedStatement;
    inner.set(watched, { statement, sql });
    return watched;
  };
  return {
    prepare: (sql: string) => watch(db.prepare(sql), sql),
    batch: async (statements: D1PreparedStatement[]) => {
      const known = statements.map((statement) => inner.get(statement));
      const results = await db.batch(known.flatMap((one) => one?.statement ?? []));
      return results.map((result, i) => count(known[i]?.sql ?? "", result));
    },
  } as unknown as D1Database;
}

function purposeOf(sql: string): "pairs" | "statistics" | "writes" {
  if (!/^\s*SELECT/i.test(sql)) return "writes";
  return /\bFROM pairs\b/.test(sql) ? "pairs" : "statistics";
}
