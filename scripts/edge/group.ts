import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A program of ours in a process group of its own, so that whatever it started ends with it. It is asked by messages. */
export class ProcessGroup {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  /** @param temporary where the program and its children put their temporary files */
  constructor(program: string, temporary: string) {
    this.#child = fork(program, {
      detached: true,
      execArgv: [],
      env: { ...process.env, TMPDIR: temporary },
      serialization: "advanced",
    });
    this.#exited = once(this.#child, "exit");
    this.#exited.catch(() => {});
  }

  /**
   * Sends one message and waits for the answer. One question at a time.
   * @throws {Error} when the program ends instead
   */
  async ask<Answer>(message: object): Promise<Answer> {
    const ended = this.#exited.then(() => {
      throw new Error(`${this.#child.spawnargs.at(-1)} ended instead of answering`);
    });
    const answered = once(this.#child, "message");
    this.#child.send(message);
    const [answer] = await Promise.race([answered, ended]);
    return answer as Answer;
  }

  /** Ends every process of the group at once, whatever it is doing. */
  async kill(): Promise<void> {
    if (this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null) {
      process.kill(-this.#child.pid, "SIGKILL");
    }
    await this.#exited;
  }

  /** Lets the program end by itself. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }
}

/** The other side: answers messages one by one, and ends when the asker lets go or is gone. */
export function answerMessages(answer: (message: never) => Promise<object>, close: () => Promise<void>): void {
  let last: Promise<unknown> = Promise.resolve();
  process.on("message", (message) => {
    last = last.then(async () => process.send?.(await answer(message as never)));
  });
  process.once("disconnect", async () => {
    await last;
    await close();
    process.exit();
  });
}
