/** Characters of JSON in one bound value; D1 takes values of 2 MB. */
const CHUNK_CHARS = 600_000;

/** Rows as JSON arrays that each fit into one bound value; nearly always one, none for no rows. */
export function jsonChunks(rows: readonly unknown[]): string[] {
  return jsonArrays(rows.map((row) => JSON.stringify(row)));
}

/** The same for rows that are JSON already. */
export function jsonArrays(rows: readonly string[]): string[] {
  const chunks: string[][] = [];
  let room = 0;
  for (const json of rows) {
    if (json.length > room || chunks.length === 0) {
      chunks.push([]);
      room = CHUNK_CHARS;
    }
    chunks.at(-1)?.push(json);
    room -= json.length + 1;
  }
  return chunks.map((parts) => `[${parts.join(",")}]`);
}
