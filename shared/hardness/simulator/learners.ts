/** What one right pair teaches a learner that has it right with probability `p`, 1 at most (but for the greedy learner). */
export interface Learner {
  readonly name: string;
  gain(p: number): number;
}

/** Greatest value of p^2.2 (1 - p), at p = 2.2 / 3.2. */
const CAUTIOUS_PEAK = (2.2 / 3.2) ** 2.2 * (1 / 3.2);

/** Four answers to the question which hardness teaches most, since nobody knows. The last two lose by what is far too hard. */
export const LEARNERS = [
  /** Learns most from what it has right half of the time. */
  { name: "learnable", gain: (p: number) => 4 * p * (1 - p) },
  /** Learns most from what it nearly has. */
  { name: "cautious", gain: (p: number) => (p ** 2.2 * (1 - p)) / CAUTIOUS_PEAK },
  /** Learns the more the harder, up to a cliff. */
  { name: "greedy", gain: (p: number) => (p < 0.12 ? -0.5 : 1.35 * (1 - p)) },
  /** Learns from the middle, more from its harder side, and loses below. */
  { name: "tilted", gain: (p: number) => (p < 0.15 ? -0.3 : 4 * p * (1 - p) * (0.6 + 0.8 * (1 - p))) },
] as const satisfies readonly Learner[];
