/** Characters of JSON in one bound value; D1 takes values of 2 MB. */
const CHUNK_CHARS = 600_000;

/** Rows as JSON arrays that each fit into one bound value; nearly always one, none for no rows. */
export function jsonChunks(rows: readonly unknown[]): string[] {
  const chunks: string[][] = [];
  let room = 0;
  for (const row of rows) {
    const json = JSON.stringify(row);
    if (json.length > room || chunks.length === 0) {
      chunks.push([]);
      room = CHUNK_CHARS;
    }
    chunks.at(-1)?.push(json);
    room -= json.length + 1;
  }
  return chunks.map((parts) => `[${parts.join(",")}]`);
}
