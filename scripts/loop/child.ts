import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { UsageError } from "../usage-error.ts";

export interface ChildOptions {
  readonly python: string;
  /** The project's folder. */
  readonly root: string;
  readonly args: readonly string[];
  /** Handed over by environment, never by argument. */
  readonly key: string;
  /** File that takes what the child says for people. */
  readonly log: string;
}

/** Last lines of a child's own words that are shown when it fails. */
const TAIL_LINES = 5;
/** Exit code of the Python commands for a mistake of the caller. */
const USAGE_EXIT = 2;

/** The child understood the command and cannot do it; it goes on. */
export class CommandRefused extends Error {}

/** A Python command of the trainer that speaks JSON lines on standard output. */
export class PythonChild {
  readonly #child: ChildProcess;
  readonly #tail: string[] = [];
  readonly exited: Promise<number>;
  readonly lines: AsyncIterableIterator<string>;

  constructor(options: ChildOptions) {
    const log = createWriteStream(options.log, { flags: "a" });
    this.#child = spawn(options.python, ["-m", "nearmiss", ...options.args], {
      cwd: options.root,
      env: {
        ...process.env,
        PYTHONPATH: join(options.root, "gpu-trainer"),
        PYTHONUNBUFFERED: "1",
        TQDM_DISABLE: "1",
        OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? "1",
        NEARMISS_KEY: options.key,
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.exited = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code) => resolve(code ?? 1));
    });
    this.exited.catch(() => {});
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error("the child has no pipes");
    createInterface(stderr).on("line", (line) => {
      log.write(`${line}\n`);
      this.#tail.push(line);
      if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    });
    this.lines = createInterface(stdout)[Symbol.asyncIterator]();
  }

  /** The next JSON line. @throws {UsageError | Error} with the child's last words when it ended instead */
  async next<T>(): Promise<T> {
    const { value, done } = await this.lines.next();
    if (done) throw await this.failure();
    return JSON.parse(value) as T;
  }

  /** Sends one command. */
  tell(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Sends one command and waits for its answer. */
  async ask<T>(command: object): Promise<T> {
    this.tell(command);
    const answer = await this.next<T & { error?: string }>();
    if (answer.error !== undefined) throw new CommandRefused(answer.error);
    return answer;
  }

  async failure(): Promise<Error> {
    const code = await this.exited;
    const words = this.#tail.join("\n").trim() || "it said nothing";
    if (code === USAGE_EXIT) return new UsageError(this.#tail.at(-1) ?? words);
    return new Error(`the trainer's process ended with code ${code}: ${words}`);
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.#child.kill(signal);
  }
}
