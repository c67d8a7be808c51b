import type { z } from "zod";
import { type ErrorCode, errorBody } from "../../shared/contracts/common.ts";
import {
  type createKeyRequest,
  createKeyResponse,
  explanationResponse,
  policyDiffResponse,
  policyHistoryResponse,
  policyResponse,
  previewResponse,
  regionsResponse,
  roundsResponse,
  tickJobs,
  tickRecord,
  tickResponse,
  ticksResponse,
} from "../../shared/contracts/operator.ts";
import type { policyDocument } from "../../shared/contracts/policy.ts";
import { championResponse } from "../../shared/contracts/training.ts";

type KeyLimits = Partial<Pick<z.input<typeof createKeyRequest>, "eventsPerMinute" | "requestsPerMinute">>;

/** A call that the edge refused. */
export class CallRefused extends Error {
  override readonly name = "CallRefused";
  /** Null when the answer was none of the edge's own. */
  readonly code: ErrorCode | null;
  /** What the edge said, without the call; a line for each wrong field. */
  readonly summary: string;

  constructor(call: string, status: number, text: string) {
    super(`${call}: ${status} ${text.slice(0, 500)}`);
    const body = errorBody.safeParse(jsonOf(text));
    const { code = null, message = `status ${status}`, details = [] } = body.success ? body.data.error : {};
    this.code = code;
    this.summary = [message, ...details.map((problem) => `${problem.path}: ${problem.message}`)].join("\n");
  }
}

/** The operator's calls that the loop and the command line make; every answer is checked against the contract. */
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
  previewPolicy(document: z.input<typeof policyDocument>) {
    return this.#call("POST", "/v1/policy/preview", previewResponse, { document });
  }
  policyHistory(limit: number) {
    return this.#call("GET", `/v1/policy/history?limit=${limit}`, policyHistoryResponse);
  }
  policyDiff(from: number, to?: number) {
    const newer = to === undefined ? "" : `&to=${to}`;
    return this.#call("GET", `/v1/policy/diff?from=${from}${newer}`, policyDiffResponse);
  }
  rollbackPolicy(version: number, to: number, reason: string) {
    return this.#call("POST", "/v1/policy/rollback", policyResponse, { version, to, reason });
  }
  ticks(limit: number) {
    return this.#call("GET", `/v1/ticks?limit=${limit}`, ticksResponse);
  }
  explanation(tick: number, region?: string) {
    const one = region === undefined ? "" : `?region=${encodeURIComponent(region)}`;
    return this.#call("GET", `/v1/ticks/${tick}/explanation${one}`, explanationResponse);
  }
  tickRecord(tick: number) {
    return this.#call("GET", `/v1/ticks/${tick}/record`, tickRecord);
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
    if (!response.ok) throw new CallRefused(`${method} ${path}`, response.status, text);
    return schema.parse(JSON.parse(text));
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
