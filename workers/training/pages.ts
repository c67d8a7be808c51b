import { type GateLine, gateLine, NEXT_HEADER, type PairLine, pairLine } from "../../shared/contracts/training.ts";
import { type Region, regionKey, TASKS } from "../../shared/taxonomy/taxonomy.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import { ApiError } from "../http/errors.ts";
import type { Holder } from "../store/leases.ts";
import { type BatchLine, batchPage } from "../store/pairs.ts";
import { type GateSource, gateCandidates, gateSources } from "../store/rounds.ts";
import { byTaskInTurn } from "./gate-order.ts";
import { requireHeld } from "./holder.ts";

/** What is predicted of a region that was not there when the round was claimed. */
const UNKNOWN_ACCURACY = 0.5;

/** One page of lines; `next` is the `after` of the page behind it, null on the last. */
export interface Page<Line> {
  readonly lines: readonly Line[];
  readonly next: string | null;
}

export interface PageRequest {
  /** The id of the last line read; empty for the first page. */
  readonly after: string;
  /** Lines, 1 to `LIMITS.pairsPerPage`. */
  readonly limit: number;
}

/**
 * A page of the round's batch, by id. What is predicted of its lines stands since the claim, so that a round that is gone on with
 * sees the same.
 * @throws {ApiError} `conflict` for a late holder
 */
export async function pairsPage(
  env: Pick<Env, "DB">,
  actor: Actor,
  holder: Holder,
  request: PageRequest,
  now: number,
): Promise<Page<PairLine>> {
  demand(actor, "train");
  const { predicted } = await requireHeld(env.DB, holder, now);
  const rows = await batchPage(env.DB, holder, { now, after: request.after, limit: request.limit + 1 });
  const lines = rows
    .slice(0, request.limit)
    .flatMap((row) => toPairLine(row, predicted[row.region]?.[row.level - 1] ?? UNKNOWN_ACCURACY));
  return { lines, next: rows.length > lines.length ? (lines.at(-1)?.id ?? null) : null };
}

/**
 * A page of the questions that judge the round: the same list for as long as the round lives.
 * @throws {ApiError} `conflict` for a late holder, `bad_request` when `after` is not of the list
 */
export async function gatePage(
  env: Pick<Env, "DB">,
  actor: Actor,
  holder: Holder,
  request: PageRequest,
  now: number,
): Promise<Page<GateLine>> {
  demand(actor, "train");
  const { createdAt, policy } = await requireHeld(env.DB, holder, now);
  const { maxItems } = policy.gate;
  const ids = byTaskInTurn(await gateCandidates(env.DB, TASKS, createdAt, maxItems), maxItems);
  const start = request.after === "" ? 0 : ids.indexOf(request.after) + 1;
  if (start === 0 && request.after !== "") {
    throw new ApiError("bad_request", "The page is not of this round.", [
      { path: "after", message: "is not an id of the list" },
    ]);
  }
  const lines = (await gateSources(env.DB, ids.slice(start, start + request.limit))).flatMap(toGateLine);
  return { lines, next: start + lines.length < ids.length ? (lines.at(-1)?.id ?? null) : null };
}

/** Lines as NDJSON, with the next page's `after` in a header. */
export function ndjson<Line>({ lines, next }: Page<Line>): Response {
  const headers = new Headers({ "content-type": "application/x-ndjson" });
  if (next !== null) headers.set(NEXT_HEADER, next);
  return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), { headers });
}

function toPairLine({ sourceId, conversation, ...line }: BatchLine, predicted: number): PairLine[] {
  if (conversation === null) return [];
  return [pairLine.parse({ ...line, group: sourceId, conversation: JSON.parse(conversation), predicted })];
}

function toGateLine({ errorType, language, modality, conversation, ...line }: GateSource): GateLine[] {
  if (conversation === null) return [];
  const region = regionKey({ task: line.task, errorType, language, modality } as Region);
  return [gateLine.parse({ ...line, region, conversation: JSON.parse(conversation) })];
}
