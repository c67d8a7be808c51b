import type { Context } from "hono";
import type { z } from "zod";
import type { AppEnv } from "./context.ts";
import { ApiError } from "./errors.ts";
import { problemsOf } from "./problems.ts";

/**
 * A part of the path, parsed by `schema`.
 * @throws {ApiError} `bad_request` naming the part
 */
export function readParam<S extends z.ZodType>(c: Context<AppEnv>, name: string, schema: S): z.output<S> {
  const parsed = schema.safeParse(c.req.param(name));
  if (parsed.success) return parsed.data;
  throw new ApiError("bad_request", "The path is not valid.", problemsOf(parsed.error, [name]));
}
