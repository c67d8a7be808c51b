import type { EditorPolicy } from "../../shared/contracts/policy.ts";
import { hasOneEdit } from "../../shared/edits/index.ts";
import type { PlanLine } from "../../shared/hardness/state.ts";
import { type ErrorType, LEVELS, parseRegionKey, type Region, regionKey } from "../../shared/taxonomy/taxonomy.ts";
import type { Polarities } from "../store/statistics.ts";
import type { EditableSource } from "../store/supply.ts";

/** The level at which the model's own wrong answer is the rejected one. */
const OWN_LEVEL = 4;

/** One edit of one source. */
export interface Order {
  readonly sourceId: string;
  readonly region: string;
  readonly errorType: string;
  readonly level: number;
}

type ChoicePolicy = Pick<EditorPolicy, "rejectedPerSource" | "ownAnswerFirst" | "wrongShare">;

/**
 * Chooses the sources for the plan's lines of one task, language and modality, line by line. The same sources, plan and seed
 * give the same orders; a source never gets the same error type and level twice.
 * @param waiting the regions' pairs that wait to be trained on: of yes and no the rarer comes first
 * @returns at most `pairs` orders per line, fewer when the sources run out
 */
export function chooseSources(
  lines: readonly PlanLine[],
  sources: readonly EditableSource[],
  policy: ChoicePolicy,
  seed: number,
  waiting: ReadonlyMap<string, Polarities> = new Map(),
): Order[] {
  const pool = sources.map((source) => new Candidate(source, policy.rejectedPerSource, shuffle(source.id, seed)));
  const saidIn = new Map(
    lines.map(({ region }): [string, Said] => [region, { yes: 0, no: 0, ...waiting.get(region) }]),
  );
  return lines.flatMap((line) => ordersOfLine(line, pool, policy, saidIn.get(line.region) ?? { yes: 0, no: 0 }));
}

/** @param said what the region's pairs say so far; counted on */
function ordersOfLine(line: PlanLine, pool: readonly Candidate[], policy: ChoicePolicy, said: Said): Order[] {
  const region = parseRegionKey(line.region);
  const fitting = pool.filter((candidate) => candidate.takes(region.errorType, line.level)).sort(inOrder);
  const queues = { wrong: new Balanced(fitting, true), right: new Balanced(fitting, false) };
  const orders: Order[] = [];
  let chosen = 0;
  let wrong = 0;
  while (orders.length < line.pairs) {
    const [first, second] =
      wrong < policy.wrongShare * (chosen + 1) ? [queues.wrong, queues.right] : [queues.right, queues.wrong];
    const candidate = first.next(said) ?? second.next(said);
    if (!candidate) break;
    chosen += 1;
    const { source } = candidate;
    if (source.wrong) wrong += 1;
    const own = { ...region, errorType: source.errorType as Region["errorType"] };
    if (source.wrong && policy.ownAnswerFirst && candidate.takes(own.errorType, OWN_LEVEL)) {
      orders.push(candidate.order(own, OWN_LEVEL));
    }
    if (orders.length < line.pairs && candidate.takes(region.errorType, line.level)) {
      orders.push(candidate.order(region, line.level));
    }
  }
  return orders;
}

/** A source with what it got in this tick. */
class Candidate {
  readonly source: EditableSource;
  /** Where it stands among sources with as many jobs. */
  readonly place: number;
  readonly #ordered: Set<string>;
  #room: number;

  constructor(source: EditableSource, maxJobs: number, place: number) {
    this.source = source;
    this.place = place;
    this.#ordered = new Set(source.ordered);
    this.#room = maxJobs - source.jobs;
  }

  /** Jobs ordered so far, now and before. */
  get jobs(): number {
    return this.#ordered.size;
  }

  /** Whether an edit of this kind can still be ordered. A level 4 edit needs a wrong answer of that very kind. */
  takes(errorType: ErrorType, level: number): boolean {
    const { wrong, errorType: observed } = this.source;
    if (level === OWN_LEVEL && !(wrong && observed === errorType)) return false;
    const levels = hasOneEdit(errorType) ? LEVELS : [level];
    return this.#room > 0 && !levels.some((one) => this.#ordered.has(`${errorType}/${one}`));
  }

  order(region: Region, level: number): Order {
    const { errorType } = region;
    this.#room -= 1;
    this.#ordered.add(`${errorType}/${level}`);
    return { sourceId: this.source.id, region: regionKey(region), errorType, level };
  }
}

interface Said {
  yes: number;
  no: number;
}

/** Right or wrong sources in their order, from which the rarer of yes and no comes first: rarer in all, else among its own. */
class Balanced {
  readonly #queues: Record<"yes" | "no" | "open", Candidate[]>;
  readonly #given: Said = { yes: 0, no: 0 };

  constructor(candidates: readonly Candidate[], wrong: boolean) {
    const mine = candidates.filter(({ source }) => source.wrong === wrong);
    const saying = (polarity: "yes" | "no" | null) =>
      mine.filter(({ source }) => source.polarity === polarity).reverse();
    this.#queues = { yes: saying("yes"), no: saying("no"), open: saying(null) };
  }

  /** Takes the next candidate and counts what it says. */
  next(said: Said): Candidate | undefined {
    const { yes, no, open } = this.#queues;
    const surplus = said.yes - said.no || this.#given.yes - this.#given.no;
    const [rare, common] = surplus <= 0 ? [yes, no] : [no, yes];
    const polar = rare.length > 0 ? rare : common;
    const [head, other] = [open.at(-1), polar.at(-1)];
    const taken = head && (!other || inOrder(head, other) < 0) ? open.pop() : polar.pop();
    const polarity = taken?.source.polarity;
    if (polarity) {
      said[polarity] += 1;
      this.#given[polarity] += 1;
    }
    return taken;
  }
}

/** Fewest jobs first, then as the seed shuffles them. */
function inOrder(a: Candidate, b: Candidate): number {
  return a.jobs - b.jobs || a.place - b.place || (a.source.id < b.source.id ? -1 : 1);
}

/** A number that depends on the seed as much as on the id (FNV-1a, with the finaliser of MurmurHash3). */
function shuffle(id: string, seed: number): number {
  let bits = seed ^ 0x811c9dc5;
  for (let i = 0; i < id.length; i++) bits = Math.imul(bits ^ id.charCodeAt(i), 0x01000193);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
