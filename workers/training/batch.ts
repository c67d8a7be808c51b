import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { BATCH_PAIRS, type Polarity, type Quotas, quotasOf, type Stock } from "../../shared/hardness/batch.ts";
import { valuesOf } from "../../shared/hardness/plan.ts";
import { type Head, type Selection, selectPairs } from "../../shared/hardness/selection.ts";
import { expectedFixes } from "../../shared/hardness/trigger.ts";
import { gainOf } from "../../shared/hardness/value.ts";
import { type FoundPair, type HeadRequest, passOverNow, queueHeads } from "../store/pairs.ts";
import { readStock } from "../store/statistics.ts";

/** Times that the quotas are made anew because there was less to take than the counts say: they count what others hold, too. */
const CHOICE_ATTEMPTS = 4;
/** Times that a batch is chosen that comes out too small while there may be better pairs behind; each reads twice as far as the last. */
const CHOICES = 4;
/** A limit is rounded up to so many significant bits: few different ones, and a few pairs more to choose from. */
const LIMIT_BITS = 3;

/** What there is to make a batch of. */
export interface Supply {
  /** Regions that have any pairs, in the order of their keys. */
  readonly stocks: readonly Stock[];
  /** Accuracy at levels 1 to 4 of every region. */
  readonly predicted: ReadonlyMap<string, readonly number[]>;
  /** Pairs that were never trained on; those in live leases are among them. */
  readonly fresh: number;
  /** Failures per tick that training on all of them is expected to avoid. */
  readonly fixes: number;
}

/** Reads the statistics, and no row of a pair. */
export async function readSupply(db: D1Database, policy: PolicyDocument): Promise<Supply> {
  const { scheduler } = policy;
  const { regions, difficulties, counts } = await readStock(db);
  // Pairs are there already: what can still be edited and which alarms hold levels plays no part.
  const states = regions.map((region) => ({ ...region, editable: 1, ownAnswers: 1 }));
  const funds = { tokens: null, micros: null };
  const values = valuesOf({ at: 0, seed: 0, policy: scheduler, funds, regions: states, difficulties });
  const stocks = values.flatMap(({ key, value, predicted }): Stock[] => {
    const found = counts.get(key);
    if (!found) return [];
    const task = key.slice(0, key.indexOf("/"));
    return [
      { region: key, task, value, levels: found.map((at) => ({ ...at, predicted: predicted[at.level - 1] ?? 0.5 })) },
    ];
  });
  const masses = new Map(regions.map(({ key, failureMass }) => [key, failureMass]));
  const waiting = stocks.map((stock) => {
    const backlog = freshIn(stock);
    const gains = stock.levels.reduce(
      (sum, { predicted, open, yes, no }) => sum + (open + yes + no) * gainOf(predicted, scheduler),
      0,
    );
    return { failureMass: masses.get(stock.region) ?? 0, gain: gains / Math.max(1, backlog), backlog };
  });
  return {
    stocks,
    predicted: new Map(values.map(({ key, predicted }) => [key, predicted])),
    fresh: waiting.reduce((sum, { backlog }) => sum + backlog, 0),
    fixes: expectedFixes(waiting, scheduler),
  };
}

function freshIn({ levels }: Stock): number {
  return levels.reduce((sum, { open, yes, no }) => sum + open + yes + no, 0);
}

/** How many pairs of each region the next batch would have. */
export async function quotas(db: D1Database, policy: PolicyDocument): Promise<ReadonlyMap<string, number>> {
  const { stocks } = await readSupply(db, policy);
  const { fresh, again, mastered } = quotasOf(stocks, policy);
  const pairs = new Map<string, number>();
  const repeated = mastered.map(({ region, train }) => ({ region, pairs: train }));
  for (const quota of [...fresh, ...again, ...repeated]) {
    if (quota.pairs > 0) pairs.set(quota.region, (pairs.get(quota.region) ?? 0) + quota.pairs);
  }
  return pairs;
}

/** The pairs of a batch: to train on, and to score only. */
export interface Choice {
  readonly train: Selection<FoundPair>;
  readonly score: readonly FoundPair[];
  /** Sentinels to score. */
  readonly sentinels: number;
  /** Left out of a queue that had room and goes on behind them: they should go to its end, or its next front is they again. */
  readonly passed: readonly FoundPair[];
}

/**
 * The best batch there is now. If it has less than `least` pairs to train on because of some that stand in the way of others, these
 * go to the end of their queues at once, and it is chosen again from what stands behind; what stays in the way after that is for
 * the next claim, which finds it moved as well.
 */
export async function chooseBatch(
  db: D1Database,
  stocks: readonly Stock[],
  policy: PolicyDocument,
  least: number,
): Promise<Choice> {
  for (let attempt = 1; ; attempt++) {
    const choice = await chooseOnce(db, stocks, policy, 2 ** (attempt - 1));
    if (choice.train.pairs.length >= least || choice.passed.length === 0) return choice;
    await passOverNow(db, choice.passed);
    if (attempt === CHOICES) return choice;
  }
}

/**
 * Reads the fronts of the queues that have a quota, `reach` times as long as that, and anew where some of them gave less than
 * their counts promised.
 */
async function chooseOnce(
  db: D1Database,
  stocks: readonly Stock[],
  policy: PolicyDocument,
  reach: number,
): Promise<Choice> {
  let available = stocks;
  for (let attempt = 1; ; attempt++) {
    const wanted = quotasOf(available, policy);
    const queues = reaching(queuesOf(wanted), reach);
    const requests = queues.map(({ request }) => request);
    const heads = await queueHeads(db, requests, policy.training.maxTrainings);
    const short = queues.flatMap(({ request, pairs }, i): [string, number][] => {
      const found = heads[i]?.length ?? 0;
      return found < pairs ? [[placeOf(request), found]] : [];
    });
    if (short.length > 0 && attempt < CHOICE_ATTEMPTS) {
      available = withFound(available, new Map(short));
      continue;
    }
    return choiceOf(queues, heads, policy, wanted.sentinels);
  }
}

/** A queue with the number of pairs that are wanted of its front; the last `score` of them are scored only. */
interface Queue {
  readonly request: HeadRequest;
  readonly pairs: number;
  readonly score: number;
}

function queuesOf({ fresh, again, mastered }: Quotas): Queue[] {
  return [
    ...fresh.map(({ region, level, polarity, pairs }) => queue({ kind: "fresh", region, level, polarity }, pairs)),
    ...again.map(({ region, level, pairs }) => queue({ kind: "again", region, level }, pairs)),
    ...mastered.map(({ region, train, score }) => queue({ kind: "mastered", region }, train + score, score)),
  ];
}

function queue(of: Place, pairs: number, score = 0): Queue {
  return { request: { ...of, limit: roundedUp(pairs) }, pairs, score };
}

/** The same with longer fronts; all together are no longer than what can be sorted in memory, unless their quotas are. */
function reaching(queues: readonly Queue[], reach: number): readonly Queue[] {
  const wanted = queues.reduce((sum, { pairs }) => sum + pairs, 0);
  const factor = Math.min(reach, BATCH_PAIRS / wanted);
  if (factor <= 1) return queues;
  return queues.map((one) => ({
    ...one,
    request: { ...one.request, limit: roundedUp(Math.floor(one.pairs * factor)) },
  }));
}

/** A queue without the length of its front. */
type Place = HeadRequest extends infer Request ? (Request extends HeadRequest ? Omit<Request, "limit"> : never) : never;

/** Where a queue's pairs are counted. */
function placeOf(place: Place): string {
  if (place.kind === "mastered") return `${place.kind} ${place.region}`;
  const polarity = place.kind === "fresh" ? (place.polarity ?? "open") : "any";
  return `${place.kind} ${place.region} ${place.level} ${polarity}`;
}

function roundedUp(pairs: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(pairs)) + 1 - LIMIT_BITS);
  return Math.ceil(pairs / step) * step;
}

/** The counts, with what was found at some places in their stead. */
function withFound(stocks: readonly Stock[], found: ReadonlyMap<string, number>): Stock[] {
  return stocks.map((stock) => {
    const { region } = stock;
    let mastered = found.get(placeOf({ kind: "mastered", region })) ?? Number.POSITIVE_INFINITY;
    const levels = stock.levels.map((counts) => {
      const { level } = counts;
      const fresh = (polarity: Polarity) => found.get(placeOf({ kind: "fresh", region, level, polarity }));
      const saturated = Math.min(counts.saturated, mastered);
      mastered -= saturated;
      return {
        ...counts,
        open: fresh(null) ?? counts.open,
        yes: fresh("yes") ?? counts.yes,
        no: fresh("no") ?? counts.no,
        again: found.get(placeOf({ kind: "again", region, level })) ?? counts.again,
        saturated,
      };
    });
    return { ...stock, levels };
  });
}

/** New pairs and those to repeat beyond a quota leave a choice; mastered ones are taken in their order. */
function choiceOf(
  queues: readonly Queue[],
  heads: readonly (readonly FoundPair[])[],
  policy: PolicyDocument,
  sentinels: number,
): Choice {
  const parts = queues.map(({ request, pairs, score }, i) => {
    const candidates = heads[i] ?? [];
    const quota = pairs - score;
    if (request.kind !== "mastered") return { quota, candidates, score: [] };
    return { quota, candidates: candidates.slice(0, quota), score: candidates.slice(quota, pairs) };
  });
  const train = selectPairs(parts, policy.batch);
  const goesOn = (i: number) => (heads[i]?.length ?? 0) >= (queues[i]?.request.limit ?? 0);
  return {
    train,
    score: parts.flatMap(({ score }) => score),
    sentinels,
    passed: inTheWay(
      parts.filter((_, i) => goesOn(i)),
      train,
    ),
  };
}

/** Of these parts of a batch, what was left out of those that had room for it. */
function inTheWay(parts: readonly Head<FoundPair>[], { pairs, dropped }: Selection<FoundPair>): FoundPair[] {
  const [taken, leftOut] = [new Set(pairs), new Set(dropped)];
  return parts.flatMap(({ quota, candidates }) => {
    const filled = candidates.filter((pair) => taken.has(pair)).length;
    return filled < quota ? candidates.filter((pair) => leftOut.has(pair)) : [];
  });
}
