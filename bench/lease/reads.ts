/** What the statements of a claim read, as D1 counts it, by what they are for. */
export interface Reads {
  statements: number;
  /** Rows of pairs to choose from. */
  pairs: number;
  /** Regions, levels, difficulties, rounds, leases. */
  statistics: number;
  /**
   * By the statements that write. D1 counts each step of an update here: the id in the list, the row, the row again for its
   * trigger, each index that it stands in.
   */
  writes: number;
}

export function noReads(): Reads {
  return { statements: 0, pairs: 0, statistics: 0, writes: 0 };
}

export interface Asked {
  readonly trainer: string;
  /** Gives the pairs back afterwards. */
  readonly release: boolean;
}

export interface Claimed {
  readonly round: string | null;
  readonly reason: string | null;
  readonly leased: number;
  /** Of the claim. */
  readonly ms: number;
  readonly reads: Reads;
}
