import { ModelFailure } from "./chat.ts";

/** A model was given up for the rest of a piece of work. */
export interface Switch {
  readonly model: string;
  /** The class of the last failure. */
  readonly reason: string;
  /** In a row. */
  readonly failures: number;
}

/** Whether the model is worth asking: a broken one is left alone for the rest of the work. */
export class ModelHealth<M extends { readonly name: string }> {
  readonly #model: M | null;
  readonly #failuresToSwitch: number;
  #inRow = 0;
  #switched: Switch | null = null;

  constructor(model: M | null, failuresToSwitch: number) {
    this.#model = model;
    this.#failuresToSwitch = failuresToSwitch;
  }

  /** Set when the model was given up. */
  get switched(): Switch | null {
    return this.#switched;
  }

  /** What the model makes of the task; null when there is no model, or it failed, or it was given up before. */
  async attempt<T>(task: (model: M) => Promise<T>): Promise<T | null> {
    if (!this.#model || this.#switched) return null;
    try {
      const result = await task(this.#model);
      this.#inRow = 0;
      return result;
    } catch (error) {
      if (!(error instanceof ModelFailure)) throw error;
      this.#inRow += 1;
      if (this.#inRow >= this.#failuresToSwitch) {
        this.#switched ??= { model: this.#model.name, reason: error.reason, failures: this.#inRow };
      }
      return null;
    }
  }
}
