import OpenAI, { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from "openai";
import type { Tokens } from "../../shared/edits/price.ts";

/** Calls the SDK makes again by itself after 429, 5xx or a broken connection; all share the one time limit. */
const MODEL_RETRIES = 1;
/** Calls that one completion may take, and that may use tokens. */
export const CALLS_PER_COMPLETION = 1 + MODEL_RETRIES;
/** Nobody uses more in one call: what an endpoint tells beyond it is taken for this. */
const TOKENS_TOLD_MAX = 1_000_000_000;

/** An OpenAI-compatible endpoint, as it is configured. */
export interface Endpoint {
  readonly baseURL: string | undefined;
  readonly model: string | undefined;
  readonly apiKey: string | undefined;
}

/** What a completion used, as far as the endpoint told. */
export interface Usage extends Tokens {
  /** Calls that told nothing and may have used something. */
  readonly untold: number;
}
const NO_USAGE: Usage = { tokensIn: 0, tokensOut: 0, untold: 0 };

/** What a model said, not checked yet. */
export interface Completion extends Usage {
  /** Null when it said nothing. */
  readonly text: string | null;
  /** `stop`: it came to its end by itself. Null when the endpoint does not tell. */
  readonly finishReason: string | null;
}

type CompletionParams = OpenAI.ChatCompletionCreateParamsNonStreaming;

/** What the model is asked: messages, the form of its reply, and how many tokens it may write. */
export interface ChatRequest extends Pick<CompletionParams, "messages" | "response_format"> {
  readonly maxTokens?: number;
}

export interface ChatModel {
  readonly name: string;
  /** @throws {ModelFailure} when the endpoint gives no completion in time */
  complete(request: ChatRequest, timeoutMs: number): Promise<Completion>;
}

/** The model gave no usable reply. `reason` is a class of failures, safe to store: it holds no address, key or text. */
export class ModelFailure extends Error {
  override readonly name = "ModelFailure";
  readonly reason: string;
  readonly usage: Usage;

  constructor(reason: string, usage: Usage = NO_USAGE) {
    super(reason);
    this.reason = reason;
    this.usage = usage;
  }
}

/** What a limit of the tokens written is called, the older name first: see `create`. */
type LimitName = "max_tokens" | "max_completion_tokens";

interface Server {
  readonly client: OpenAI;
  readonly fetcher: typeof fetch;
  limitName: LimitName;
}

/** Whether its address, name and key are all set. */
export function isConfigured(endpoint: Endpoint): endpoint is { readonly [Setting in keyof Endpoint]: string } {
  return Boolean(endpoint.baseURL && endpoint.model && endpoint.apiKey);
}

/** The model behind an endpoint; null unless that is configured. */
export function chatModel(endpoint: Endpoint, fetcher: typeof fetch): ChatModel | null {
  if (!isConfigured(endpoint)) return null;
  const { baseURL, model, apiKey } = endpoint;
  const client = new OpenAI({ baseURL, apiKey, maxRetries: MODEL_RETRIES, logLevel: "off" });
  const server: Server = { client, fetcher, limitName: "max_tokens" };
  return { name: model, complete: (request, timeoutMs) => complete(server, { model, ...request }, timeoutMs) };
}

type NamedRequest = ChatRequest & { readonly model: string };

async function complete(server: Server, request: NamedRequest, timeoutMs: number): Promise<Completion> {
  // One limit for everything: the SDK's own begins anew with every retry.
  const signal = AbortSignal.timeout(timeoutMs);
  const { fetcher } = server; // on its own: as a method of anything, workerd's fetch refuses to run
  let untold = 0;
  const counted: typeof fetch = async (url, init) => {
    untold += 1;
    const response = await fetcher(url, init);
    if (isRefusal(response.status)) untold -= 1;
    return response;
  };
  try {
    const reply = await create(server, server.client.withOptions({ fetch: counted }), request, signal);
    return completionOf(reply, untold);
  } catch (error) {
    throw new ModelFailure(signal.aborted ? "timeout" : classOf(error), { ...NO_USAGE, untold });
  }
}

/** The request was turned down before the model saw it. After a time-out (408) the model may have worked all the same. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408;
}

/**
 * Limits the reply by `max_tokens`, which nearly every server knows. Those that do not are newer models of OpenAI: they refuse it
 * by name, while a server that is too old for `max_completion_tokens` may pass over it and write without end.
 */
async function create(
  server: Server,
  client: OpenAI,
  { maxTokens, ...request }: NamedRequest,
  signal: AbortSignal,
): Promise<OpenAI.ChatCompletion> {
  const limited = (name: LimitName): CompletionParams => ({ ...request, ...(maxTokens && { [name]: maxTokens }) });
  const { limitName } = server;
  try {
    return await client.chat.completions.create(limited(limitName), { signal });
  } catch (error) {
    if (limitName !== "max_tokens" || maxTokens === undefined || !refusesMaxTokens(error)) throw error;
    server.limitName = "max_completion_tokens";
    return await client.chat.completions.create(limited(server.limitName), { signal, maxRetries: 0 });
  }
}

function refusesMaxTokens(error: unknown): boolean {
  if (!(error instanceof APIError) || (error.status !== 400 && error.status !== 422)) return false;
  return error.param === "max_tokens" || error.message.includes("max_completion_tokens");
}

/** An endpoint may answer with anything, whatever the SDK's types say. `calls`: how many were made, the last of which was answered. */
function completionOf(reply: OpenAI.ChatCompletion, calls: number): Completion {
  const choice = reply?.choices?.[0];
  const content: unknown = choice?.message?.content;
  const finishReason: unknown = choice?.finish_reason;
  const [tokensIn, tokensOut] = [reply?.usage?.prompt_tokens, reply?.usage?.completion_tokens];
  const told = isCount(tokensIn) && isCount(tokensOut) && tokensIn + tokensOut > 0;
  return {
    text: typeof content === "string" && content !== "" ? content : null,
    finishReason: typeof finishReason === "string" ? finishReason : null,
    tokensIn: told ? Math.min(tokensIn, TOKENS_TOLD_MAX) : 0,
    tokensOut: told ? Math.min(tokensOut, TOKENS_TOLD_MAX) : 0,
    untold: told ? calls - 1 : calls,
  };
}

function isCount(tokens: unknown): tokens is number {
  return typeof tokens === "number" && Number.isSafeInteger(tokens) && tokens >= 0;
}

function classOf(error: unknown): string {
  if (error instanceof APIConnectionTimeoutError || error instanceof APIUserAbortError) return "timeout";
  if (error instanceof APIConnectionError) return "unreachable";
  if (error instanceof APIError && error.status !== undefined) return `status ${error.status}`;
  return "invalid reply";
}
