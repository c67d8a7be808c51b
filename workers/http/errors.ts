import type { ErrorCode, FieldProblem } from "../../shared/contracts/common.ts";

/** An error whose text may be shown to the caller. Anything else that is thrown becomes `internal`, without its text. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly details: readonly FieldProblem[] | undefined;
  /** Seconds after which the same call may well succeed. */
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string, details?: readonly FieldProblem[], retryAfterS?: number) {
    super(message);
    this.code = code;
    this.details = details;
    this.retryAfterS = retryAfterS;
  }
}
