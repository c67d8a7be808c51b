import { type Conversation, imagesOf } from "../contracts/common.ts";

/** A conversation as a data block tells it: pictures are named by their number. */
export interface Numbered {
  readonly conversation: readonly { readonly role: string; readonly content: readonly object[] }[];
  /** Hashes of the pictures, each once: the first is picture 1. */
  readonly pictures: readonly string[];
}

export function numbered(turns: Conversation): Numbered {
  const pictures = [...new Set(imagesOf(turns))];
  const numberOf = new Map(pictures.map((sha256, index) => [sha256, index + 1]));
  const conversation = turns.map(({ role, content }) => ({
    role,
    content: content.map((part) => {
      if (part.type === "text") return { text: part.text };
      if (part.type === "image") return { picture: numberOf.get(part.sha256) };
      return { video: part.frames.map(({ sha256, timeMs }) => ({ picture: numberOf.get(sha256), timeMs })) };
    }),
  }));
  return { conversation, pictures };
}

/** What a prompt says of the numbers. */
export const NUMBERED_RULE =
  '{"picture": 1} stands for picture 1, which follows the object; {"video": [...]} for the frames of a video in their order.';

/** A prompt about a conversation and its pictures. */
export interface PicturePrompt {
  readonly system: string;
  /** The delimited data. */
  readonly user: string;
  /** As in `Numbered`. */
  readonly pictures: readonly string[];
}
