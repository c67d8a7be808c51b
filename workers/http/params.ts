import type { z } from "zod";
import { ApiError } from "./errors.ts";
import { problemsOf } from "./problems.ts";

/**
 * The parameters of one part of a request, parsed by `schema`.
 * @throws {ApiError} `bad_request` naming each wrong one
 */
export function readPart<S extends z.ZodType>(
  part: "path" | "query" | "headers",
  schema: S,
  values: unknown,
): z.output<S> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const verb = part === "headers" ? "are" : "is";
  throw new ApiError("bad_request", `The ${part} ${verb} not valid.`, problemsOf(parsed.error));
}
