/** Calls `action` once, `ms` later; the returned function prevents it. Does not keep a Node process alive. */
export function later(ms: number, action: () => void): () => void {
  const timer: unknown = setTimeout(action, ms);
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function")
    timer.unref();
  return () => clearTimeout(timer as number);
}

/** One wait at a time, which can be cut short. */
export class Pause {
  #end: () => void = () => {};

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = later(ms, resolve);
      this.#end = () => {
        cancel();
        resolve();
      };
    });
  }

  cut(): void {
    this.#end();
  }
}
