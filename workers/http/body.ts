import type { Context } from "hono";
import type { z } from "zod";
import { LIMITS } from "../../shared/contracts/common.ts";
import type { AppEnv } from "./context.ts";
import { ApiError } from "./errors.ts";
import { problemsOf } from "./problems.ts";

/**
 * The request's JSON body, parsed by `schema`.
 * @throws {ApiError} `too_large` above `maxBytes`; `bad_request` when it is not JSON in UTF-8, or with one detail per wrong field
 */
export async function readJson<S extends z.ZodType>(
  c: Context<AppEnv>,
  schema: S,
  maxBytes: number = LIMITS.jsonBytes,
): Promise<z.output<S>> {
  const parsed = schema.safeParse(parseJson(await readBytes(c, maxBytes)));
  if (parsed.success) return parsed.data;
  throw new ApiError("bad_request", "The request body is not valid.", problemsOf(parsed.error));
}

/**
 * The request's body. It is counted while it streams in, whatever `content-length` claims.
 * @throws {ApiError} `too_large` above `maxBytes`
 */
export async function readBytes(c: Context<AppEnv>, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => new ApiError("too_large", `The request body is larger than ${maxBytes} bytes.`);
  const claimed = Number(c.req.header("content-length") ?? 0);
  if (claimed > maxBytes) throw tooLarge();
  const stream = c.req.raw.body;
  if (!stream) return new Uint8Array();
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    bytes += read.value.byteLength;
    if (bytes > maxBytes) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(read.value);
  }
  return join(chunks, bytes);
}

function join(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const [only] = chunks;
  if (only && chunks.length === 1) return only;
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** The parser's own message quotes the body, so it is not passed on. */
function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new ApiError("bad_request", "The request body is not valid UTF-8.");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(
      "bad_request",
      text === "" ? "The request body is empty." : "The request body is not valid JSON.",
    );
  }
}
