import type { z } from "zod";
import type { FieldProblem } from "../../shared/contracts/common.ts";

/** Problems named in one answer; the rest shows once these are mended. */
const PROBLEMS_SHOWN = 20;

/** One problem per wrong field, its dotted path below `prefix`; a problem of the whole body has the path `body`. */
export function problemsOf(error: z.ZodError, prefix: readonly PropertyKey[] = []): FieldProblem[] {
  return error.issues.flatMap((issue) => flatten(issue, prefix)).slice(0, PROBLEMS_SHOWN);
}

/** Of a union the alternative that came closest is told. */
function flatten(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[]): FieldProblem[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const closest = issue.errors.reduce((best, issues) => (issues.length < best.length ? issues : best));
    if (closest.length > 0) return closest.flatMap((nested) => flatten(nested, path));
  }
  return [{ path: path.map(String).join(".") || "body", message: issue.message }];
}
