export type {
  ContentPart,
  ErrorType,
  FailureEvent,
  FailureReport,
  ImageHash,
  ImageIndex,
  PairEvent,
  PairReport,
  Task,
  TextPart,
  Turn,
} from "./events.ts";
export type { ImageSource, Images } from "./images.ts";
export type { Problem, Stats } from "./ledger.ts";
export { Reporter, type ReporterOptions, type ReportOptions } from "./reporter.ts";
