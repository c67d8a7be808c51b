import type { Tokens } from "../../shared/edits/price.ts";
import { CALLS_PER_COMPLETION, type ChatModel, type ChatRequest, ModelFailure, type Usage } from "./chat.ts";
import type { Purse } from "./purse.ts";

/** Tokens that a server may put around a request: its template, its own system prompt, the schema of the reply in other words. */
const TEMPLATE_TOKENS = 256;
/** What a picture takes at most with the models that cut it finest (Qwen2.5-VL as it comes: 16,384 patches of 28 x 28 pixels). */
const PICTURE_TOKENS = 16_384;

const encoder = new TextEncoder();

/**
 * The model, each of whose completions is paid out of the purse: its worst case before, what it used after. Calls that told nothing
 * count as their worst case, in the completion too.
 */
export function paid(model: ChatModel, purse: Purse): ChatModel {
  return {
    name: model.name,
    async complete(asked, timeoutMs) {
      const request = { ...asked, maxTokens: purse.policy.outputTokensPerCall };
      const call: Tokens = { tokensIn: promptTokensAtMost(request), tokensOut: request.maxTokens };
      const { tokens, micros } = purse.amountOf(call);
      const worst = { tokens: CALLS_PER_COMPLETION * tokens, micros: CALLS_PER_COMPLETION * micros };
      await purse.draw(worst);
      let used = worst;
      const charge = (usage: Usage): Usage => {
        const counted = withUntold(usage, call);
        used = purse.amountOf(counted);
        return counted;
      };
      try {
        const completion = await model.complete(request, timeoutMs);
        return { ...completion, ...charge(completion) };
      } catch (error) {
        throw error instanceof ModelFailure ? new ModelFailure(error.reason, charge(error.usage)) : error;
      } finally {
        purse.giveBack(worst, used);
      }
    },
  };
}

function withUntold({ tokensIn, tokensOut, untold }: Usage, call: Tokens): Usage {
  return { tokensIn: tokensIn + untold * call.tokensIn, tokensOut: tokensOut + untold * call.tokensOut, untold: 0 };
}

/** No tokenizer in use makes more tokens of a text than it has bytes. Pictures are counted by number, not by bytes. */
export function promptTokensAtMost({ messages, response_format }: ChatRequest): number {
  let pictures = 0;
  const text = JSON.stringify({ messages, response_format }, (key, value) => {
    if (key !== "image_url") return value;
    pictures += 1;
    return undefined;
  });
  return encoder.encode(text).byteLength + pictures * PICTURE_TOKENS + TEMPLATE_TOKENS;
}
