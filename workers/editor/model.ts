import { type EditPrompt, modelEdit } from "../../shared/edits/index.ts";
import { type ChatModel, type ChatRequest, ModelFailure, type Usage } from "../model/chat.ts";

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
export interface ModelReply extends Usage {
  readonly rejected: string;
}

/** A second try: what the model said, and why it was refused. */
export interface Repair {
  readonly rejected: string;
  readonly refusal: string;
}

export interface ModelEditor {
  readonly name: string;
  /**
   * @throws {ModelFailure} when there is no usable reply in time
   * @throws {OutOfFunds} when it may not be asked
   */
  edit(prompt: EditPrompt, timeoutMs: number, repair?: Repair): Promise<ModelReply>;
}

/** A model as an editor. */
export function modelEditor(chat: ChatModel): ModelEditor {
  return { name: chat.name, edit: (prompt, timeoutMs, repair) => ask(chat, prompt, timeoutMs, repair) };
}

async function ask(
  chat: ChatModel,
  prompt: EditPrompt,
  timeoutMs: number,
  repair: Repair | undefined,
): Promise<ModelReply> {
  const request = { messages: messagesOf(prompt, repair), response_format: REPLY_FORMAT };
  const { text, tokensIn, tokensOut, untold } = await chat.complete(request, timeoutMs);
  const usage = { tokensIn, tokensOut, untold };
  if (text === null) throw new ModelFailure("no reply", usage);
  const reply = modelEdit.safeParse(parseJson(text));
  if (!reply.success) throw new ModelFailure("invalid reply", usage);
  return { rejected: reply.data.rejected, ...usage };
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
