import OpenAI, { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from "openai";
import { type EditPrompt, modelEdit } from "../../shared/edits/index.ts";
import type { Env } from "../env.ts";

/** Calls the SDK makes again by itself after 429, 5xx or a broken connection; all share the one time limit. */
const MODEL_RETRIES = 1;

const REPLY_FORMAT = {
  type: "json_schema",
  json_schema: {
    name: "edit",
    strict: true,
    schema: {
      type: "object",
      properties: { rejected: { type: "string" } },
      required: ["rejected"],
      additionalProperties: false,
    },
  },
} as const;

/** One edit by the model, not checked yet. */
export interface ModelReply {
  readonly rejected: string;
  readonly tokensIn: number;
  readonly tokensOut: number;
}

/** A second try: what the model said, and why it was refused. */
export interface Repair {
  readonly rejected: string;
  readonly refusal: string;
}

export interface ModelEditor {
  readonly name: string;
  /** @throws {ModelFailure} when there is no usable reply in time */
  edit(prompt: EditPrompt, timeoutMs: number, repair?: Repair): Promise<ModelReply>;
}

/** The model gave no usable reply. `reason` is a class of failures, safe to store: it holds no address, key or text. */
export class ModelFailure extends Error {
  override readonly name = "ModelFailure";
  readonly reason: string;
  readonly tokensIn: number;
  readonly tokensOut: number;

  constructor(reason: string, tokens: { readonly tokensIn: number; readonly tokensOut: number } = NO_TOKENS) {
    super(reason);
    this.reason = reason;
    this.tokensIn = tokens.tokensIn;
    this.tokensOut = tokens.tokensOut;
  }
}

const NO_TOKENS = { tokensIn: 0, tokensOut: 0 };

type ModelSettings = Pick<Env, "EDITOR_BASE_URL" | "EDITOR_MODEL" | "EDITOR_API_KEY">;

/** The model behind the configured OpenAI-compatible endpoint; null unless its address, name and key are all set. */
export function configuredModel(env: ModelSettings, fetcher: typeof fetch = fetch): ModelEditor | null {
  const { EDITOR_BASE_URL: baseURL, EDITOR_MODEL: model, EDITOR_API_KEY: apiKey } = env;
  if (!baseURL || !model || !apiKey) return null;
  const client = new OpenAI({
    baseURL,
    apiKey,
    maxRetries: MODEL_RETRIES,
    fetch: (url, init) => fetcher(url, init),
    logLevel: "off",
  });
  return { name: model, edit: (prompt, timeoutMs, repair) => ask(client, model, prompt, timeoutMs, repair) };
}

async function ask(
  client: OpenAI,
  model: string,
  prompt: EditPrompt,
  timeoutMs: number,
  repair: Repair | undefined,
): Promise<ModelReply> {
  // One limit for everything: the SDK's own begins anew with every retry.
  const signal = AbortSignal.timeout(timeoutMs);
  let completion: OpenAI.ChatCompletion;
  try {
    completion = await client.chat.completions.create(
      { model, messages: messagesOf(prompt, repair), response_format: REPLY_FORMAT },
      { signal },
    );
  } catch (error) {
    throw new ModelFailure(signal.aborted ? "timeout" : classOf(error));
  }
  const tokens = tokensOf(completion);
  const text = textOf(completion);
  if (text === null) throw new ModelFailure("no reply", tokens);
  const reply = modelEdit.safeParse(parseJson(text));
  if (!reply.success) throw new ModelFailure("invalid reply", tokens);
  return { rejected: reply.data.rejected, ...tokens };
}

function messagesOf(prompt: EditPrompt, repair: Repair | undefined): OpenAI.ChatCompletionMessageParam[] {
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    { role: "system", content: prompt.system },
    { role: "user", content: prompt.user },
  ];
  if (!repair) return messages;
  return [
    ...messages,
    { role: "assistant", content: JSON.stringify({ rejected: repair.rejected }) },
    { role: "user", content: `This edit was refused: ${repair.refusal} Make another one.` },
  ];
}

/** An endpoint may answer with anything, whatever the SDK's types say. */
function textOf(completion: OpenAI.ChatCompletion): string | null {
  const content: unknown = completion?.choices?.[0]?.message?.content;
  return typeof content === "string" && content !== "" ? content : null;
}

function tokensOf(completion: OpenAI.ChatCompletion) {
  return {
    tokensIn: countOf(completion?.usage?.prompt_tokens),
    tokensOut: countOf(completion?.usage?.completion_tokens),
  };
}

function countOf(tokens: unknown): number {
  return typeof tokens === "number" && Number.isSafeInteger(tokens) && tokens > 0 ? tokens : 0;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function classOf(error: unknown): string {
  if (error instanceof APIConnectionTimeoutError || error instanceof APIUserAbortError) return "timeout";
  if (error instanceof APIConnectionError) return "unreachable";
  if (error instanceof APIError && error.status !== undefined) return `status ${error.status}`;
  return "invalid reply";
}
