import type OpenAI from "openai";
import type { ImageIndex, Turn } from "./events.ts";

type Message = OpenAI.ChatCompletionMessageParam;
type Part = OpenAI.ChatCompletionContentPart | OpenAI.ChatCompletionContentPartRefusal;

/** What a model was asked, as an event says it: the turns, and the URLs of the images that their parts name by index. */
export interface Conversation {
  turns: Turn<ImageIndex>[];
  imageUrls: string[];
}

/** A request that no event can hold. The message says why. */
export class Untellable extends Error {}

/**
 * The request's messages as they are now. Tool calls and tool messages of earlier turns are left out.
 * @throws {Untellable} when the answer rests on something an event can not hold: tool results that came after the user's
 * last turn, audio, files
 */
export function conversationOf(messages: readonly Message[]): Conversation {
  const imageUrls: string[] = [];
  const turns: Turn<ImageIndex>[] = [];
  const lastUser = messages.findLastIndex(({ role }) => role === "user");
  if (messages.slice(lastUser + 1).some(({ role }) => role === "tool" || role === "function")) {
    throw new Untellable("the answer rests on tool results");
  }
  for (const message of messages) {
    const role = message.role === "developer" ? "system" : message.role;
    if (role === "tool" || role === "function") continue;
    const parts = typeof message.content === "string" ? [message.content] : (message.content ?? []);
    const content = parts.map((part) => (typeof part === "string" ? text(part) : contentPart(part, imageUrls)));
    if (content.length > 0) turns.push({ role, content });
  }
  return { turns, imageUrls };
}

function contentPart(part: Part, imageUrls: string[]) {
  if (part.type === "text") return text(part.text);
  if (part.type === "refusal") return text(part.refusal);
  if (part.type === "image_url") return { type: "image" as const, image: imageUrls.push(part.image_url.url) - 1 };
  throw new Untellable(`a part of type ${part.type}`);
}

function text(value: string) {
  return { type: "text" as const, text: value };
}

const DECODING = [
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "max_tokens",
  "max_completion_tokens",
  "seed",
  "n",
  "stop",
  "presence_penalty",
  "frequency_penalty",
  "repetition_penalty",
  "reasoning_effort",
] as const;

/** The settings that the request names and an event can hold. */
export function decodingOf(request: object): Record<string, number | boolean | string | null> {
  const settings = Object.entries(request).filter(([name]) => (DECODING as readonly string[]).includes(name));
  return Object.fromEntries(settings.filter(([, value]) => value !== undefined && typeof value !== "object"));
}
