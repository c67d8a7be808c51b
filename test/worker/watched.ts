import { env } from "cloudflare:workers";

/** What is done around a call of the database, which is a statement alone or a batch. */
export type Around = (run: () => Promise<unknown>, sql: readonly string[]) => Promise<unknown>;

/** The database with something around every call. */
export function watchedDatabase(around: Around): D1Database {
  const originals = new WeakMap<object, { readonly statement: D1PreparedStatement; readonly sql: string }>();
  const watch = (statement: D1PreparedStatement, sql: string): D1PreparedStatement => {
    const watched = new Proxy(statement, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        if (name === "bind") return (...params: unknown[]) => watch(target.bind(...params), sql);
        return (...args: unknown[]) => around(() => value.apply(target, args), [sql]);
      },
    });
    originals.set(watched, { statement, sql });
    return watched;
  };
  return new Proxy(env.DB, {
    get(target, name) {
      if (name === "prepare") return (sql: string) => watch(target.prepare(sql), sql);
      if (name === "batch") {
        return (statements: D1PreparedStatement[]) => {
          const known = statements.map((one) => originals.get(one) ?? { statement: one, sql: "" });
          const run = () => target.batch(known.map(({ statement }) => statement));
          return around(
            run,
            known.map(({ sql }) => sql),
          );
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
