/** Added to a seed's state for each word drawn from it: 2^32 over the golden ratio, odd (Steele, Lea and Flood 2014). */
const GOLDEN = 0x9e3779b9;

/**
 * xoshiro128** (Blackman and Vigna 2021): 32 bits a step, period 2^128 - 1. Two generators of one seed and different
 * streams are independent for every practical purpose.
 */
export class Random {
  readonly #state: Uint32Array<ArrayBuffer>;
  #spare: number | null = null;

  /** @param state four words, not all zero */
  constructor(state: readonly [number, number, number, number]) {
    this.#state = Uint32Array.from(state);
  }

  /** The state is drawn from seed and stream by a 32-bit SplitMix, whose finaliser is MurmurHash3's. */
  static seeded(seed: number, stream = 0): Random {
    let word = mixed(seed) ^ Math.imul(stream + 1, GOLDEN);
    const draw = () => {
      word = (word + GOLDEN) | 0;
      return mixed(word);
    };
    return new Random([draw(), draw(), draw(), draw()]);
  }

  /** A whole number from 0 to 2^32 - 1. */
  next(): number {
    const s = this.#state as unknown as [number, number, number, number];
    const result = Math.imul(rotated(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 11);
    return result;
  }

  /** In [0, 1). */
  uniform(): number {
    return this.next() / 2 ** 32;
  }

  /** A whole number below `n`. */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** Standard normal, by the polar method (Marsaglia and Bray 1964). */
  normal(): number {
    const spare = this.#spare;
    if (spare !== null) {
      this.#spare = null;
      return spare;
    }
    for (;;) {
      const [x, y] = [2 * this.uniform() - 1, 2 * this.uniform() - 1];
      const square = x * x + y * y;
      if (square === 0 || square >= 1) continue;
      const scale = Math.sqrt((-2 * Math.log(square)) / square);
      this.#spare = y * scale;
      return x * scale;
    }
  }

  /** Successes of `n` tries, one by one: `n` is small here. */
  binomial(n: number, p: number): number {
    let successes = 0;
    for (let i = 0; i < n; i++) if (this.uniform() < p) successes++;
    return successes;
  }

  /** Gamma with shape of at least 1 and scale 1 (Marsaglia and Tsang 2000). */
  gamma(shape: number): number {
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - this.uniform()) < 0.5 * x * x + d * (1 - v + Math.log(v))) return d * v;
    }
  }

  /** Beta with both parameters of at least 1. */
  beta(a: number, b: number): number {
    const x = this.gamma(a);
    return x / (x + this.gamma(b));
  }

  /** The place of one of the weights, each as likely as it is heavy. */
  weighted(weights: ArrayLike<number>, total: number): number {
    let left = this.uniform() * total;
    for (let i = 0; i < weights.length; i++) {
      left -= weights[i] ?? 0;
      if (left < 0) return i;
    }
    return weights.length - 1;
  }

  /** The whole numbers below `n` in random order (Fisher and Yates). */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return order;
  }
}

function rotated(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function mixed(word: number): number {
  let z = word;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}
