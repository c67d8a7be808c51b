import OpenAI, { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from "openai";

/** Calls the SDK makes again by itself after 429, 5xx or a broken connection; all share the one time limit. */
const MODEL_RETRIES = 1;

/** An OpenAI-compatible endpoint, as it is configured. */
export interface Endpoint {
  readonly baseURL: string | undefined;
  readonly model: string | undefined;
  readonly apiKey: string | undefined;
}

interface Tokens {
  readonly tokensIn: number;
  readonly tokensOut: number;
}
const NO_TOKENS: Tokens = { tokensIn: 0, tokensOut: 0 };

/** What a model said, not checked yet. */
export interface Completion extends Tokens {
  /** Null when it said nothing. */
  readonly text: string | null;
  /** `stop`: it came to its end by itself. Null when the endpoint does not tell. */
  readonly finishReason: string | null;
}

/** What the model is asked: messages, and the form of its reply. */
export type ChatRequest = Pick<OpenAI.ChatCompletionCreateParamsNonStreaming, "messages" | "response_format">;

export interface ChatModel {
  readonly name: string;
  /** @throws {ModelFailure} when the endpoint gives no completion in time */
  complete(request: ChatRequest, timeoutMs: number): Promise<Completion>;
}

/** The model gave no usable reply. `reason` is a class of failures, safe to store: it holds no address, key or text. */
export class ModelFailure extends Error {
  override readonly name = "ModelFailure";
  readonly reason: string;
  readonly tokensIn: number;
  readonly tokensOut: number;

  constructor(reason: string, tokens: Tokens = NO_TOKENS) {
    super(reason);
    this.reason = reason;
    this.tokensIn = tokens.tokensIn;
    this.tokensOut = tokens.tokensOut;
  }
}

/** The model behind a configured endpoint; null unless its address, name and key are all set. */
export function chatModel({ baseURL, model, apiKey }: Endpoint, fetcher: typeof fetch): ChatModel | null {
  if (!baseURL || !model || !apiKey) return null;
  const client = new OpenAI({
    baseURL,
    apiKey,
    maxRetries: MODEL_RETRIES,
    fetch: (url, init) => fetcher(url, init),
    logLevel: "off",
  });
  return { name: model, complete: (request, timeoutMs) => complete(client, { model, ...request }, timeoutMs) };
}

async function complete(
  client: OpenAI,
  request: OpenAI.ChatCompletionCreateParamsNonStreaming,
  timeoutMs: number,
): Promise<Completion> {
  // One limit for everything: the SDK's own begins anew with every retry.
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return completionOf(await client.chat.completions.create(request, { signal }));
  } catch (error) {
    throw new ModelFailure(signal.aborted ? "timeout" : classOf(error));
  }
}

/** An endpoint may answer with anything, whatever the SDK's types say. */
function completionOf(reply: OpenAI.ChatCompletion): Completion {
  const choice = reply?.choices?.[0];
  const content: unknown = choice?.message?.content;
  const finishReason: unknown = choice?.finish_reason;
  return {
    text: typeof content === "string" && content !== "" ? content : null,
    finishReason: typeof finishReason === "string" ? finishReason : null,
    tokensIn: countOf(reply?.usage?.prompt_tokens),
    tokensOut: countOf(reply?.usage?.completion_tokens),
  };
}

function countOf(tokens: unknown): number {
  return typeof tokens === "number" && Number.isSafeInteger(tokens) && tokens > 0 ? tokens : 0;
}

function classOf(error: unknown): string {
  if (error instanceof APIConnectionTimeoutError || error instanceof APIUserAbortError) return "timeout";
  if (error instanceof APIConnectionError) return "unreachable";
  if (error instanceof APIError && error.status !== undefined) return `status ${error.status}`;
  return "invalid reply";
}
