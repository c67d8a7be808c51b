import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_splitSqlQuery as splitSql } from "wrangler";

interface Database {
  prepare(sql: string): { all<T>(): Promise<{ results: T[] }>; bind(...values: unknown[]): never };
  batch(statements: unknown[]): Promise<unknown>;
}

/** The table in which `wrangler d1 migrations apply` keeps what it applied: both ways of migrating agree. */
const TRACK = `CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`;

/**
 * Applies the migrations of `folder` that the database has not seen, in name order, each with its mark in one transaction.
 * @returns the names applied now
 */
export async function migrate(db: Database, folder: string): Promise<string[]> {
  await db.batch([db.prepare(TRACK)]);
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const seen = new Set(results.map((row) => row.name));
  const fresh = readdirSync(folder)
    .filter((name) => name.endsWith(".sql") && !seen.has(name))
    .sort();
  for (const name of fresh) {
    const statements = splitSql(readFileSync(join(folder, name), "utf8")).map((sql) => db.prepare(sql));
    const mark = db.prepare("INSERT INTO d1_migrations (name) VALUES (?1)").bind(name);
    await db.batch([...statements, mark]);
  }
  return fresh;
}
