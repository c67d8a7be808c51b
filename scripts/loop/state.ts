import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../usage-error.ts";
import { type Options, prepareFolder } from "./options.ts";
import type { RoundRecord } from "./record.ts";

/** What the loop itself remembers between runs; all else is in the edge's store. */
export interface LoopState {
  readonly world: string;
  readonly seed: number;
  readonly adminKey: string;
  /** Of browser tokens and image links. */
  readonly signingSecret: string;
  /** Where the edge was last served, for the command line. */
  url: string | null;
  /** Made by the edge on the first run. */
  keys: { readonly ingest: string; readonly train: string } | null;
  rounds: RoundRecord[];
}

const FILE = "loop.json";
const SECRET_BYTES = 32;

export function sha256Hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/**
 * The state of earlier runs in this folder, or a new one.
 * @throws {UsageError} when the folder cannot be written or holds another world's state
 */
export function openState(options: Options): LoopState {
  prepareFolder(options.state);
  if (options.fresh) {
    for (const entry of [FILE, "edge", "edge.log", "trainer", "deployed", "trainer.log", "deployed.log"]) {
      rmSync(join(options.state, entry), { recursive: true, force: true });
    }
  }
  const path = join(options.state, FILE);
  if (!existsSync(path)) {
    const adminKey = `nm_${randomSecret()}`;
    const { world, seed } = options;
    return { world, seed, adminKey, signingSecret: randomSecret(), url: null, keys: null, rounds: [] };
  }
  const state = read(path);
  if (state.world !== options.world || state.seed !== options.seed) {
    throw new UsageError(
      `${options.state} holds the state of world ${state.world}, seed ${state.seed}: add --fresh to forget it, or choose another --state`,
    );
  }
  return state;
}

function randomSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

function read(path: string): LoopState {
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as LoopState;
    return { ...state, signingSecret: state.signingSecret ?? randomSecret() };
  } catch {
    throw new UsageError(`${path} cannot be read: add --fresh to start anew`);
  }
}

/** Written whole or not at all; only the owner can read the keys in it. */
export function saveState(folder: string, state: LoopState): void {
  const path = join(folder, FILE);
  writeFileSync(`${path}.new`, JSON.stringify(state, null, 2), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
