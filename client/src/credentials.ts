/** A key, or a function that gets a browser token. The token is kept until the API refuses it. */
export class Credentials {
  readonly #getToken: (() => Promise<string> | string) | undefined;
  #bearer: string | undefined;
  #coming: Promise<string> | undefined;

  constructor(keyOrToken: string | (() => Promise<string> | string)) {
    if (typeof keyOrToken === "string") this.#bearer = keyOrToken;
    else this.#getToken = keyOrToken;
  }

  /** What can be sent at once, if anything. */
  get ready(): string | undefined {
    return this.#bearer;
  }

  /** @throws when no token is to be had */
  async get(): Promise<string> {
    if (this.#bearer !== undefined) return this.#bearer;
    this.#coming ??= this.#fetchToken().finally(() => {
      this.#coming = undefined;
    });
    return this.#coming;
  }

  /** After a refusal. True when another one may do better. */
  renew(refused: string): boolean {
    if (!this.#getToken) return false;
    if (this.#bearer === refused) this.#bearer = undefined;
    return true;
  }

  async #fetchToken(): Promise<string> {
    const token = await this.#getToken?.();
    if (typeof token !== "string") throw new TypeError("the token is no text");
    this.#bearer = token;
    return token;
  }
}
