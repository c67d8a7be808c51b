/** Reports of one client that count in a tick, after the cap per region. */
export interface ClientTotal {
  readonly clientId: string;
  readonly counted: number;
}

/** What a client may report in any case, in reports of the client in the middle. */
const MEDIANS = 2;
/** Relative error of sums and quotients, below which a client is not over its share. */
const ROUNDING = 1e-9;

/**
 * Cuts the clients that report most, so that none has more than `cap` of what is counted after all cuts, or than twice what
 * the client in the middle reports, whichever is more. The first limit, in reports, is the largest `m` with m = cap * sum(min(total, m)),
 * found exactly by cutting the largest clients one after the other (water-filling). The second is for few clients, where a cap
 * alone would cut all to the smallest, and one that reports next to nothing would silence the others; one client cannot move the
 * middle far. The order of `totals` does not matter.
 * @param cap share, 0 to 1
 * @returns factors in (0, 1) of the clients that are cut, and of no others
 */
export function shareFactors(totals: readonly ClientTotal[], cap: number): Map<string, number> {
  const sorted = totals
    .filter(({ counted }) => counted > 0)
    .sort((a, b) => b.counted - a.counted || (a.clientId < b.clientId ? -1 : 1));
  const falling = sorted.map(({ counted }) => counted);
  // Of an even number the larger of the two in the middle: of two clients nobody can tell which one exaggerates.
  const median = falling[Math.ceil(falling.length / 2) - 1] ?? 0;
  const limit = Math.max(limitOf(falling, cap), MEDIANS * median);
  return new Map(
    sorted
      .filter(({ counted }) => counted > limit * (1 + ROUNDING))
      .map(({ clientId, counted }) => [clientId, limit / counted]),
  );
}

/** `falling` are totals; with the first `cut` of them at the limit, limit = cap * (cut * limit + the rest). 0 if there is none. */
function limitOf(falling: readonly number[], cap: number): number {
  const rests = new Float64Array(falling.length + 1);
  for (let i = falling.length - 1; i >= 0; i--) rests[i] = (rests[i + 1] ?? 0) + (falling[i] ?? 0);
  for (const [cut, next] of falling.entries()) {
    const limit = (cap * (rests[cut] ?? 0)) / (1 - cap * cut);
    // It comes to this before the divisor is 0: where that is no larger than the cap, the rest alone is the limit or less.
    if (next <= limit * (1 + ROUNDING)) return limit;
  }
  return 0;
}

/** What counts of one client in one region, after the cap per region. */
export interface RegionTotal extends ClientTotal {
  readonly region: string;
}

/** Clients among whom one can be told from the crowd. */
const CROWD_CLIENTS = 5;

/**
 * How much of each region's failures is left out, so that no client has more than its share of all (`shareFactors`), nor stands
 * out in a region: there it has one report, and beyond that at most what the other clients have there on the average. So one
 * that reports where nobody else does is heard, but no louder than one. The second limit needs a crowd of clients, and the
 * stricter of the two counts.
 * @param cap share, 0 to 1; 1: no limit of either kind
 * @returns the regions in which something is cut, and no others
 */
export function failureCuts(totals: readonly RegionTotal[], cap: number): Map<string, number> {
  const clients = sumsOf(totals, ({ counted }) => counted);
  const overall = shareFactors(clients, cap);
  const isCrowd = cap < 1 && clients.length >= CROWD_CLIENTS;
  const all = new Map<string, number>();
  for (const { region, counted } of totals) all.set(region, (all.get(region) ?? 0) + counted);
  const cuts = new Map<string, number>();
  for (const { clientId, region, counted } of totals) {
    const others = ((all.get(region) ?? 0) - counted) / (clients.length - 1);
    const aboveOthers = isCrowd ? counted - (1 + others) : 0;
    const cut = Math.max(counted * (1 - (overall.get(clientId) ?? 1)), aboveOthers);
    if (cut > 0) cuts.set(region, (cuts.get(region) ?? 0) + cut);
  }
  return cuts;
}

/** Events of one client with a verdict, in one task, language and modality. */
export interface CellTotal {
  readonly clientId: string;
  readonly cell: string;
  readonly exposures: number;
}

/**
 * How many exposures of each cell are left out, so that no client has more than its share of a cell's, nor of all: the rule of
 * `shareFactors` in both, and the stricter one counts. One that floods a single task would stay within its share of all; one that
 * has a cell to itself would, there, be within any.
 * @param cap share, 0 to 1
 * @returns the cells in which something is cut, and no others
 */
export function exposureCuts(totals: readonly CellTotal[], cap: number): Map<string, number> {
  const overall = shareFactors(
    sumsOf(totals, ({ exposures }) => exposures),
    cap,
  );
  const cuts = new Map<string, number>();
  for (const [cell, own] of Map.groupBy(totals, (total) => total.cell)) {
    const inCell = shareFactors(
      sumsOf(own, ({ exposures }) => exposures),
      cap,
    );
    const cut = own.reduce((sum, { clientId, exposures }) => {
      const factor = Math.min(overall.get(clientId) ?? 1, inCell.get(clientId) ?? 1);
      return sum + exposures * (1 - factor);
    }, 0);
    if (cut > 0) cuts.set(cell, cut);
  }
  return cuts;
}

function sumsOf<T extends { readonly clientId: string }>(
  totals: readonly T[],
  amountOf: (total: T) => number,
): ClientTotal[] {
  const sums = new Map<string, number>();
  for (const total of totals) sums.set(total.clientId, (sums.get(total.clientId) ?? 0) + amountOf(total));
  return [...sums].map(([clientId, counted]) => ({ clientId, counted }));
}
