import type { Funds } from "./state.ts";

const UNLIMITED = Number.POSITIVE_INFINITY;

/** What one pair takes out of a purse beside itself: whole tokens and micro-units. */
export interface Price {
  readonly tokens: number;
  readonly micros: number;
}

/** What a plan may still give: pairs, tokens and money, all whole numbers. */
export class Purse {
  pairs: number;
  tokens: number;
  micros: number;
  /** What a pair did not fit into. From then on nothing is given, so that who comes first decides, not who is cheap. */
  short: "tokens" | "money" | null = null;

  constructor(pairs: number, { tokens, micros }: Funds) {
    this.pairs = pairs;
    this.tokens = Math.max(0, tokens ?? UNLIMITED);
    this.micros = Math.max(0, micros ?? UNLIMITED);
  }

  get empty(): boolean {
    return this.pairs === 0 || this.short !== null;
  }

  /** Takes up to `wanted` pairs, as many as there is money for; returns how many. */
  take(wanted: number, price: Price): number {
    if (this.empty) return 0;
    const asked = Math.min(wanted, this.pairs);
    const byTokens = affordable(this.tokens, price.tokens);
    const byMicros = affordable(this.micros, price.micros);
    const taken = Math.min(asked, byTokens, byMicros);
    if (taken < asked) this.short = byTokens <= byMicros ? "tokens" : "money";
    this.pairs -= taken;
    this.tokens -= taken * price.tokens;
    this.micros -= taken * price.micros;
    return taken;
  }

  /** Moves a share of all that is left into a purse of its own, rounded down. */
  part(share: number): Purse {
    const of = (whole: number) => (whole === UNLIMITED ? null : Math.floor(whole * share));
    const part = new Purse(Math.floor(this.pairs * share), { tokens: of(this.tokens), micros: of(this.micros) });
    this.pairs -= part.pairs;
    if (this.tokens !== UNLIMITED) this.tokens -= part.tokens;
    if (this.micros !== UNLIMITED) this.micros -= part.micros;
    return part;
  }

  /** Takes back what is left of a part. */
  refill({ pairs, tokens, micros }: Purse): void {
    this.pairs += pairs;
    this.tokens += tokens;
    this.micros += micros;
  }
}

/** Pairs that funds pay for. Nothing is left of nothing, also where a price is not known yet. */
function affordable(funds: number, price: number): number {
  if (price > 0) return Math.floor(funds / price);
  return funds > 0 ? UNLIMITED : 0;
}
