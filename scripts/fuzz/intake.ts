import { createHash, randomBytes } from "node:crypto";
import { serveEdge } from "../edge/serve.ts";
import { OperatorApi } from "../loop/api.ts";
import { casesOf, type Document } from "./cases.ts";
import { Fuzzer, type FuzzReport } from "./fuzzer.ts";
import { StoreReader } from "./store.ts";

export interface FuzzOptions {
  /** The project's folder. */
  readonly root: string;
  /** An empty folder for the edge's files. */
  readonly state: string;
  readonly cases: number;
  readonly seed: number;
}

const SECRET_BYTES = 32;

/**
 * Sends requests that are made from the interface's own description, and spoilt, to the intake of a local edge: until one shows
 * something that must not be, or all are sent. Every answer must be one that is documented, in time and none of a fault of
 * ours; and the database must hold what was answered `stored`, whole, and nothing else.
 */
export async function fuzzIntake(
  { root, state, cases, seed }: FuzzOptions,
  tell: (line: string) => void,
): Promise<FuzzReport> {
  const adminKey = `nm_${randomBytes(SECRET_BYTES).toString("base64url")}`;
  const adminKeySha256 = createHash("sha256").update(adminKey).digest("hex");
  const edge = await serveEdge({
    root,
    state,
    port: 0,
    adminKeySha256,
    vars: { SIGNING_SECRET: randomBytes(SECRET_BYTES).toString("hex") },
  });
  const store = new StoreReader(state);
  try {
    const document = (await (await fetch(`${edge.url}/openapi.json`)).json()) as Document;
    const fuzzer = new Fuzzer(edge.url, new OperatorApi(edge.url, adminKey), store, casesOf(document));
    return await fuzzer.run(cases, seed, tell);
  } finally {
    store.close();
    await edge.close();
  }
}
