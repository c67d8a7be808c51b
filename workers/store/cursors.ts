/** How far the job has come; empty before it begins. */
export async function readCursor(db: D1Database, name: string): Promise<string> {
  const row = await db.prepare("SELECT position FROM cursors WHERE name = ?1").bind(name).first<{ position: string }>();
  return row?.position ?? "";
}

/** The statement that moves it. */
export function cursorStatement(db: D1Database, name: string, position: string, nowMs: number): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO cursors (name, position, updated_at) VALUES (?1, ?2, ?3)
       ON CONFLICT (name) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at`,
    )
    .bind(name, position, nowMs);
}

export async function setCursor(db: D1Database, name: string, position: string, nowMs: number): Promise<void> {
  await cursorStatement(db, name, position, nowMs).run();
}
