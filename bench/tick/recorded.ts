/** A database that remembers what it answered, so that the same tick can be made again from memory. */

/** What one call gave, in the order of the calls. */
export type Answers = unknown[];

export interface Reading {
  readonly answers: Answers;
  rowsRead: number;
  statements: number;
}

export function newReading(): Reading {
  return { answers: [], rowsRead: 0, statements: 0 };
}

/** Asks the database and remembers. */
export function recording(db: D1Database, reading: Reading): D1Database {
  const count = <T>(result: D1Result<T>): D1Result<T> => {
    reading.statements += 1;
    reading.rowsRead += result.meta.rows_read;
    return result;
  };
  const keep = <T>(answer: T): T => {
    reading.answers.push(answer);
    return answer;
  };
  const reals = new WeakMap<object, D1PreparedStatement>();
  const watch = (real: D1PreparedStatement): D1PreparedStatement => {
    const watched = {
      bind: (...params: unknown[]) => watch(real.bind(...params)),
      all: async () => keep(count(await real.all())),
      run: async () => keep(count(await real.run())),
      raw: async () => keep(await real.raw()),
      first: async (column?: string) => {
        const row = count(await real.all<Record<string, unknown>>()).results[0] ?? null;
        return keep(row !== null && column !== undefined ? row[column] : row);
      },
    } as unknown as D1PreparedStatement;
    reals.set(watched, real);
    return watched;
  };
  return {
    prepare: (sql: string) => watch(db.prepare(sql)),
    batch: async (statements: D1PreparedStatement[]) => {
      const results = await db.batch(statements.map((statement) => reals.get(statement) ?? statement));
      return keep(results.map(count));
    },
  } as unknown as D1Database;
}

/** Gives the same answers in the same order, at once. */
export function replaying({ answers }: Reading): D1Database {
  let next = 0;
  const answer = async () => answers[next++];
  const statement = { bind: () => statement, all: answer, run: answer, raw: answer, first: answer };
  return { prepare: () => statement, batch: answer } as unknown as D1Database;
}
