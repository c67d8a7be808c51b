import type { Conversation } from "../../shared/contracts/common.ts";
import { type Claims, ORDERS, recheckPrompt, recheckReply } from "../../shared/prompts/recheck.ts";
import { type ChatModel, ModelFailure } from "../model/chat.ts";
import { messagesOf } from "../model/pictures.ts";

/** What the judge holds of both versions of a claim. */
export type Opinion = "valid" | "invalid" | "unsure";

export interface Question {
  readonly conversation: Conversation;
  readonly claims: Claims;
  /** Pictures as `data:` URLs. */
  readonly urls: readonly string[];
}

/**
 * Asks about the right and the wrong version of a claim, each by itself, with the two words offered in both orders. Valid is a pair whose
 * right version is held for right and whose wrong one for wrong, invalid one where it is the other way round; whatever else the
 * judge says, and whatever it takes back in the other order, leaves it unsure. A judge that says yes to everything decides nothing.
 * @throws {ModelFailure} when the endpoint gives no reply
 * @throws {OutOfFunds} when it may not be asked
 */
export async function opinionOn(judge: ChatModel, question: Question, timeoutMs: number): Promise<Opinion> {
  const opinions: Opinion[] = [];
  for (const order of ORDERS) {
    const ask = (claim: string) =>
      askOnce(judge, recheckPrompt(question.conversation, claim, order), question, timeoutMs);
    const [right, wrong] = await Promise.all([ask(question.claims.right), ask(question.claims.wrong)]);
    opinions.push(opinionOf(right, wrong));
    if (opinions.at(-1) === "unsure") return "unsure";
  }
  const [first = "unsure", ...others] = opinions;
  return others.every((other) => other === first) ? first : "unsure";
}

type Said = ReturnType<typeof recheckReply>;

function opinionOf(right: Said, wrong: Said): Opinion {
  if (right === "yes" && wrong === "no") return "valid";
  return right === "no" && wrong === "yes" ? "invalid" : "unsure";
}

async function askOnce(
  judge: ChatModel,
  prompt: ReturnType<typeof recheckPrompt>,
  { urls }: Question,
  timeoutMs: number,
): Promise<Said> {
  const completion = await judge.complete({ messages: messagesOf(prompt, urls) }, timeoutMs);
  if (completion.text === null && completion.finishReason === null) throw new ModelFailure("no reply", completion);
  return recheckReply(completion.text);
}
