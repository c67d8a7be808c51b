import { dirname, join } from "node:path";
import type { Plugin } from "esbuild";

const STORE = join(dirname(dirname(import.meta.dirname)), "workers/store/failures.ts");
const NAMESPACE = "store-nothing";

/** In the place of the real store: every event is said to be stored, none is. */
const STAND_IN = `export * from ${JSON.stringify(STORE)};
export async function storeFailures(db, submissions) {
  return submissions.map(({ events }) => events.map(() => "stored"));
}`;

/** Makes a Worker that does all with a request but store it: the yardstick for what storing costs. */
export const storeNothing: Plugin = {
  name: NAMESPACE,
  setup(build) {
    build.onResolve({ filter: /\/store\/failures\.ts$/ }, ({ importer }) =>
      importer.endsWith(join("ingest", "intake.ts")) ? { path: STORE, namespace: NAMESPACE } : null,
    );
    build.onLoad({ filter: /.*/, namespace: NAMESPACE }, () => ({ contents: STAND_IN, resolveDir: dirname(STORE) }));
  },
};
