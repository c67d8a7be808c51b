import type { z } from "zod";
import {
  type createKeyRequest,
  createKeyResponse,
  policyResponse,
  regionsResponse,
  roundsResponse,
  tickJobs,
  tickResponse,
} from "../../shared/contracts/operator.ts";
import type { policyDocument } from "../../shared/contracts/policy.ts";
import { championResponse } from "../../shared/contracts/training.ts";

type KeyLimits = Partial<Pick<z.input<typeof createKeyRequest>, "eventsPerMinute" | "requestsPerMinute">>;

/** The operator's calls that the loop makes; every answer is checked against the contract. */
export class OperatorApi {
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
  }

  createKey(client: string, scopes: readonly string[], reportCap: number, limits: KeyLimits = {}) {
    return this.#call("POST", "/v1/keys", createKeyResponse, { client, scopes, reportCap, ...limits });
  }
  policy() {
    return this.#call("GET", "/v1/policy", policyResponse);
  }
  setPolicy(version: number, document: z.input<typeof policyDocument>, reason: string) {
    return this.#call("PUT", "/v1/policy", policyResponse, { version, document, reason });
  }
  tick(slot: string, seed: number) {
    return this.#call("POST", "/v1/ticks", tickResponse, { slot, seed });
  }
  tickJobs(id: number) {
    return this.#call("GET", `/v1/ticks/${id}/jobs`, tickJobs);
  }
  regions() {
    return this.#call("GET", "/v1/regions", regionsResponse);
  }
  rounds() {
    return this.#call("GET", "/v1/rounds", roundsResponse);
  }
  champion() {
    return this.#call("GET", "/v1/adapters/champion", championResponse);
  }

  async #call<T>(method: string, path: string, schema: z.ZodType<T>, body?: unknown): Promise<T> {
    const response = await fetch(this.#url + path, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
    return schema.parse(JSON.parse(text));
  }
}
