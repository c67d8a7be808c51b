import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Looks into the database of a running edge: what must hold between requests, whatever these were. */

/** Each finds rows that should not be there. */
const LAWS = {
  "a source without its event":
    "SELECT s.id FROM sources s LEFT JOIN failures f ON f.id = s.failure_id WHERE f.id IS NULL",
  "a judged event with a right answer, and without its source": `SELECT f.id FROM failures f LEFT JOIN sources s ON s.failure_id = f.id
     WHERE f.verdict <> 'unjudged' AND f.held IS NULL AND s.id IS NULL AND (f.reference IS NOT NULL OR f.verdict = 'right')`,
  "a source of an event that is held":
    "SELECT s.id FROM sources s JOIN failures f ON f.id = s.failure_id WHERE f.held IS NOT NULL",
  "a region that counts other failures than its events": `SELECT r.key FROM regions r WHERE r.total_failures <> (
       SELECT count(*) FROM failures f WHERE f.region = r.key AND f.verdict = 'wrong' AND f.held IS NULL)`,
  "a region that counts other exposures than its cell's events": `SELECT r.key FROM regions r WHERE r.total_exposures <> (
       SELECT count(*) FROM failures f JOIN regions o ON o.key = f.region
       WHERE o.task = r.task AND o.language = r.language AND o.modality = r.modality
         AND f.verdict <> 'unjudged' AND f.held IS NULL)`,
  "an event of a region that is not there": `SELECT f.id FROM failures f LEFT JOIN regions r ON r.key = f.region
     WHERE r.key IS NULL AND f.verdict <> 'unjudged' AND f.held IS NULL`,
} as const;

export interface StoreLook {
  readonly failures: number;
  readonly problems: readonly string[];
}

/** Reads an edge's database through files of its own, so that no request is needed. */
export class StoreReader {
  readonly #database: DatabaseSync;

  /** @param state the edge's state folder */
  constructor(state: string) {
    const folder = join(state, "edge", "d1", "miniflare-D1DatabaseObject");
    const file = readdirSync(folder).find((name) => /^[0-9a-f]+\.sqlite$/.test(name));
    if (!file) throw new Error(`there is no database in ${folder}`);
    this.#database = new DatabaseSync(join(folder, file), { readOnly: true });
  }

  look(): StoreLook {
    const problems = Object.entries(LAWS).flatMap(([name, sql]) => {
      const [row] = this.#database.prepare(`${sql} LIMIT 1`).all();
      return row ? [`the database has ${name}: ${Object.values(row).join(" ")}`] : [];
    });
    return { failures: this.failures(), problems };
  }

  failures(): number {
    return Number(this.#database.prepare("SELECT count(*) AS n FROM failures").get()?.n);
  }

  close(): void {
    this.#database.close();
  }
}
