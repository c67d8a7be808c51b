import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Assignment, parseAssignment } from "../policy-edit.ts";
import { UsageError } from "../usage-error.ts";

export const HELP = `npm start -- [options]

  --rounds N             rounds to turn before it only serves (2)
  --once                 exit after the rounds; 0 only if an adapter was promoted and no guard slice fell
  --fresh                forget the state of earlier runs first
  --seed S               seed of the world, the plans and the training (0)
  --world scenes|nlvr    generated scenes, or the real images of NLVR (scenes)
  --data PATH            folder of the world's data (nlvr: the one with dev/ and test/)
  --images N             images the deployed model is asked about per round (scenes 300, nlvr 320)
  --port P               port of the edge, 0 for a free one (8787)
  --state PATH           where the state lives (.nearmiss)
  --policy KEY=VALUE     change the policy, for example training.objective=sft (repeatable)
  --json                 the last line printed is one JSON object with everything in the tables
  --help                 this text
`;

export const WORLDS = ["scenes", "nlvr"] as const;
const IMAGES_PER_ROUND = { scenes: 300, nlvr: 320 } as const;
const MAX_SEED = 0xffffffff;

export interface Options {
  readonly rounds: number;
  readonly once: boolean;
  readonly fresh: boolean;
  readonly seed: number;
  readonly world: (typeof WORLDS)[number];
  readonly data: string | null;
  readonly images: number;
  readonly port: number;
  readonly state: string;
  /** Dotted policy paths with their new values. */
  readonly policy: readonly Assignment[];
  readonly json: boolean;
  readonly help: boolean;
}

function whole(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new UsageError(`--${name} must be a whole number from ${low} to ${high}, not ${JSON.stringify(text)}`);
  }
  return value;
}

/** @throws {UsageError} naming the option and what is wrong with it */
export function parseOptions(argv: readonly string[], cwd: string): Options {
  let values: ReturnType<typeof parse>["values"];
  try {
    values = parse(argv).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error} (see --help)`);
  }
  const world = WORLDS.find((name) => name === values.world);
  if (!world) throw new UsageError(`--world must be one of ${WORLDS.join(", ")}, not ${JSON.stringify(values.world)}`);
  return {
    rounds: whole("rounds", values.rounds, 0, 1_000),
    once: values.once,
    fresh: values.fresh,
    seed: whole("seed", values.seed, 0, MAX_SEED),
    world,
    data: values.data === undefined ? null : resolve(cwd, values.data),
    images: values.images === undefined ? IMAGES_PER_ROUND[world] : whole("images", values.images, 1, 100_000),
    port: whole("port", values.port, 0, 65_535),
    state: resolve(cwd, values.state),
    policy: values.policy.map(parseAssignment),
    json: values.json,
    help: values.help,
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: false,
    options: {
      rounds: { type: "string", default: "2" },
      once: { type: "boolean", default: false },
      fresh: { type: "boolean", default: false },
      seed: { type: "string", default: "0" },
      world: { type: "string", default: "scenes" },
      data: { type: "string" },
      images: { type: "string" },
      port: { type: "string", default: "8787" },
      state: { type: "string", default: ".nearmiss" },
      policy: { type: "string", multiple: true, default: [] },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
}

/** @throws {UsageError} when the world's data are not where they are said to be */
export function checkWorldData(options: Options): void {
  if (options.world !== "nlvr") return;
  if (options.data === null)
    throw new UsageError("--world nlvr needs --data PATH: the folder with dev/ and test/ of NLVR");
  for (const file of ["dev/dev.json", "test/test.json"]) {
    const path = join(options.data, file);
    if (!existsSync(path) || !statSync(path).isFile()) throw new UsageError(`--data: ${path} is missing`);
  }
}

/** Makes the state folder and sees that it can be written. @throws {UsageError} one clear line */
export function prepareFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
    accessSync(path, constants.W_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "error";
    throw new UsageError(`the state folder ${path} cannot be written (${code}): choose another with --state`);
  }
}
