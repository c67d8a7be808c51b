/** What a call to a model used. */
export interface Tokens {
  /** Read and written by the model. */
  readonly tokensIn: number;
  readonly tokensOut: number;
}

/** Micro-units of money for a million tokens, whole numbers. */
export interface Prices {
  readonly inputMicrosPerMillion: number;
  readonly outputMicrosPerMillion: number;
}

/** Micro-units, whole: a call that costs a part of one costs all of it. Exact for any counts and prices that are safe integers. */
export function microsOf({ tokensIn, tokensOut }: Tokens, prices: Prices): number {
  const millionths =
    BigInt(tokensIn) * BigInt(prices.inputMicrosPerMillion) + BigInt(tokensOut) * BigInt(prices.outputMicrosPerMillion);
  return Number((millionths + 999_999n) / 1_000_000n);
}
