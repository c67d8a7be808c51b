import type { ErrorCode, FieldProblem } from "../../shared/contracts/common.ts";

/** An error whose text may be shown to the caller. Anything else that is thrown becomes `internal`, without its text. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly details: readonly FieldProblem[] | undefined;

  constructor(code: ErrorCode, message: string, details?: readonly FieldProblem[]) {
    super(message);
    this.code = code;
    this.details = details;
  }
}
