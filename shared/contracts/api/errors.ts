import type { ErrorCode } from "../common.ts";
import type { Operation } from "./operation.ts";

/** What each code tells a caller. */
export const ERROR_MEANING: Readonly<Record<ErrorCode, string>> = {
  bad_request: "The request is not as described; the details name each field and what is wrong with it.",
  unauthorized: "The key, token or link is missing, damaged, unknown, revoked or expired.",
  forbidden: "It opens something, but not this.",
  not_found: "There is nothing by this name.",
  method_not_allowed: "The path exists for other methods.",
  conflict: "Something else came first. Look again before you repeat it.",
  too_large: "The body, or what it unpacks to, passes a limit.",
  unsupported_type: "The body's type or encoding is not one of those taken here.",
  unprocessable: "The request is as described, but its content contradicts itself.",
  rate_limited: "The key has used up its limit in this minute; `retry-after` says when the next begins.",
  internal: "Something went wrong here. The request id finds it in the log.",
  not_configured: "This installation lacks a secret that the call needs.",
  overloaded: "Too busy. The same request may be sent again after `retry-after`.",
};

/** Every error that the operation answers with: what access, parameters and body bring with them, and its own. */
export function errorsOf({ access, parameters, body, errors = [] }: Operation): ErrorCode[] {
  const codes = new Set<ErrorCode>(errors);
  if (parameters || body) codes.add("bad_request");
  if (body) codes.add("too_large");
  if (body && body.kind !== "stream") codes.add("unsupported_type");
  if (access !== "open")
    for (const code of ["unauthorized", "forbidden", "rate_limited", "overloaded"] as const) codes.add(code);
  codes.add("internal");
  return (Object.keys(ERROR_MEANING) as ErrorCode[]).filter((code) => codes.has(code));
}
