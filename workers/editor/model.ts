import { type EditPrompt, modelEdit } from "../../shared/edits/index.ts";
import type { Env } from "../env.ts";
import { type ChatModel, type ChatRequest, chatModel, ModelFailure } from "../model/chat.ts";

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

type ModelSettings = Pick<Env, "EDITOR_BASE_URL" | "EDITOR_MODEL" | "EDITOR_API_KEY">;

/** The model behind the configured endpoint; null unless its address, name and key are all set. */
export function configuredModel(env: ModelSettings, fetcher: typeof fetch = fetch): ModelEditor | null {
  const { EDITOR_BASE_URL: baseURL, EDITOR_MODEL: model, EDITOR_API_KEY: apiKey } = env;
  const chat = chatModel({ baseURL, model, apiKey }, fetcher);
  return chat && { name: chat.name, edit: (prompt, timeoutMs, repair) => ask(chat, prompt, timeoutMs, repair) };
}

async function ask(
  chat: ChatModel,
  prompt: EditPrompt,
  timeoutMs: number,
  repair: Repair | undefined,
): Promise<ModelReply> {
  const request = { messages: messagesOf(prompt, repair), response_format: REPLY_FORMAT };
  const { text, tokensIn, tokensOut } = await chat.complete(request, timeoutMs);
  const tokens = { tokensIn, tokensOut };
  if (text === null) throw new ModelFailure("no reply", tokens);
  const reply = modelEdit.safeParse(parseJson(text));
  if (!reply.success) throw new ModelFailure("invalid reply", tokens);
  return { rejected: reply.data.rejected, ...tokens };
}

function messagesOf(prompt: EditPrompt, repair: Repair | undefined): ChatRequest["messages"] {
  const messages: ChatRequest["messages"] = [
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
