import type OpenAI from "openai";
import { conversationOf, decodingOf, Untellable } from "./conversation.ts";
import type { FailureReport } from "./events.ts";
import type { ImageSource } from "./images.ts";
import type { Reporter, ReportOptions } from "./reporter.ts";

export interface WrapOptions {
  /** The model's name in reports; the request's own unless given. */
  model?: string;
  /** SHA-256 of the adapter that answers; null is the base model. */
  adapter?: string | null;
  /**
   * The bytes of an image at a web address, as the model saw it. Such images are never fetched: without this, a conversation with
   * one can not be reported. `data:` URLs need nothing.
   */
  image?: (url: string) => ImageSource | undefined;
}

/** What a person or a program says about an answer; the rest of the event is known. */
export type Feedback = Omit<FailureReport, "model" | "adapter" | "conversation" | "response" | "decoding"> & {
  /** Which choice of the answer; the first unless told. */
  choice?: number;
};

/** An answer that can be reported. */
export interface Answer {
  /** As `Reporter.report()`: the event's id, or null when it was not taken. A stream is reported as far as it has come. */
  report(feedback: Feedback, options?: ReportOptions): string | null;
}

const answers = new WeakMap<object, Answer>();

/** The handle of a completion, or stream, that a wrapped client returned; undefined for anything else. */
export function reportOf(response: object): Answer | undefined {
  return answers.get(response);
}

/**
 * The same client, whose answers from `chat.completions.create`, `.parse` and `.stream` can be reported with `reportOf()`.
 * What it returns and throws is what `client` returns and throws; `client` itself is not changed.
 */
export function wrap<Client extends Pick<OpenAI, "chat">>(
  client: Client,
  reporter: Reporter,
  options: WrapOptions = {},
): Client {
  const capture: Capture = (request) => noted(request, reporter, options);
  return overlay(client, {
    chat: (chat) =>
      overlay(chat as OpenAI["chat"], { completions: (target) => overCompletions(target as object, capture) }),
    withOptions: (method) =>
      function withOptions(...args: unknown[]) {
        return wrap((method as Method).apply(client, args) as Client, reporter, options);
      },
  });
}

type Method = (...args: unknown[]) => unknown;
type TextOf = (choice: number) => string | null | undefined;
/** Notes what is asked, as it is now; what gives the texts of the choices makes it an answer. */
type Capture = (request: OpenAI.ChatCompletionCreateParams) => (textOf: TextOf) => Answer;

function overCompletions(target: object, capture: Capture): object {
  const promising = (method: unknown) =>
    function create(...args: unknown[]) {
      const answer = capture(args[0] as OpenAI.ChatCompletionCreateParams);
      return onData((method as Method).apply(target, args), (data) => answers.set(data, answer(textsOf(data))));
    };
  const streaming = (method: unknown) =>
    function stream(...args: unknown[]) {
      const answer = capture(args[0] as OpenAI.ChatCompletionCreateParams);
      const runner = (method as Method).apply(target, args) as Runner;
      answers.set(
        runner,
        answer((choice) => textIn(runner.allChatCompletions().at(-1) ?? runner.currentChatCompletionSnapshot, choice)),
      );
      return runner;
    };
  return overlay(target, { create: promising, parse: promising, stream: streaming });
}

type Runner = ReturnType<OpenAI["chat"]["completions"]["stream"]>;
type Completion = {
  choices: readonly { index: number; message: { content?: string | null; refusal?: string | null } }[];
};
type Chunks = { iterator: () => AsyncIterator<OpenAI.ChatCompletionChunk> };

function noted(
  request: OpenAI.ChatCompletionCreateParams,
  reporter: Reporter,
  options: WrapOptions,
): (textOf: TextOf) => Answer {
  const asked = quietly(() => ({
    ...conversationOf(request.messages),
    decoding: decodingOf(request),
    model: request.model,
  }));
  return (textOf) => {
    const occurredAt = Date.now();
    return {
      report(feedback, reportOptions) {
        const made = quietly(() => {
          const { choice = 0, ...said } = feedback;
          if (asked instanceof Untellable) throw asked;
          const response = textOf(choice);
          if (!response) throw new Untellable("the answer has no text");
          const { turns: conversation, imageUrls, decoding, model } = asked;
          const about = { model: options.model ?? model, adapter: options.adapter, conversation, response, decoding };
          return { event: { occurredAt, ...said, ...about }, images: imageUrls.map((url) => bytesAt(url, options)) };
        });
        return made instanceof Untellable
          ? reporter.refuse(made.message)
          : reporter.report(made.event, made.images, reportOptions);
      },
    };
  };
}

function bytesAt(url: string, { image }: WrapOptions): ImageSource {
  const source = url.startsWith("data:") ? url : image?.(url);
  if (source === undefined) throw new Untellable("it has an image at a web address, whose bytes are not given");
  return source;
}

/** What `work` makes, or why there is nothing: whatever goes wrong here is not the host's concern. */
function quietly<T>(work: () => T): T | Untellable {
  try {
    return work();
  } catch (error) {
    return error instanceof Untellable ? error : new Untellable("it can not be read");
  }
}

/** The same promise with all its helpers, whose data is seen before the host sees it. */
function onData(promise: unknown, see: (data: object) => void): unknown {
  const { _thenUnwrap } = promise as { _thenUnwrap?: unknown };
  if (typeof _thenUnwrap !== "function") return promise;
  return _thenUnwrap.call(promise, (data: object) => {
    quietly(() => see(data));
    return data;
  });
}

function textsOf(data: object): TextOf {
  if ("choices" in data) {
    const texts = (data as Completion).choices.map(
      ({ index, message }) => [index, message.content ?? message.refusal] as const,
    );
    return (choice) => new Map(texts).get(choice);
  }
  const texts = new Map<number, string>();
  listen(data as unknown as Chunks, ({ choices }) => {
    for (const { index, delta } of choices) {
      texts.set(index, (texts.get(index) ?? "") + (delta.content ?? delta.refusal ?? ""));
    }
  });
  return (choice) => texts.get(choice);
}

function textIn(completion: Completion | undefined, choice: number): string | null | undefined {
  const message = completion?.choices.find(({ index }) => index === choice)?.message;
  return message?.content ?? message?.refusal;
}

/** Hears each chunk as the host takes it: the host gets the very promises that the stream makes. */
function listen(stream: Chunks, hear: (chunk: OpenAI.ChatCompletionChunk) => void): void {
  const iterate = stream.iterator;
  stream.iterator = () => {
    const iterator = iterate.call(stream);
    const next = iterator.next;
    iterator.next = (...args) => {
      const coming = next.apply(iterator, args);
      coming.then(
        ({ done, value }) => {
          if (!done) quietly(() => hear(value));
        },
        () => {},
      );
      return coming;
    };
    return iterator;
  };
}

/** `target` with some properties replaced. Its methods keep running on `target` itself, which may have private fields. */
function overlay<T extends object>(target: T, replaced: Record<string, (value: unknown) => unknown>): T {
  const made = new Map<PropertyKey, { from: unknown; to: unknown }>();
  return new Proxy(target, {
    get(_, key) {
      const from: unknown = Reflect.get(target, key, target);
      const replace = typeof key === "string" && Object.hasOwn(replaced, key) ? replaced[key] : undefined;
      if (!replace && (typeof from !== "function" || key === "constructor")) return from;
      const known = made.get(key);
      if (known && known.from === from) return known.to;
      const to = replace ? replace(from) : (from as Method).bind(target);
      made.set(key, { from, to });
      return to;
    },
  });
}
