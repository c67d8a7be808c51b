/** Moments of the gaps of a region's pairs before they were trained on: nats, nats squared. */
export interface GapMoments {
  readonly gapMean: number;
  readonly gapSquare: number;
}

/**
 * Probability that a pair's answers are swapped, given its gap log P(chosen) - log P(rejected) in nats. Right pairs' gaps are
 * taken to be normal around the region's mean with its variance, swapped ones' around the negated mean: by Bayes' rule
 *
 *     P(flip | m) = 1 / (1 + (1 - e) / e exp(2 mu m / s2))
 *
 * with `prior` e. A region whose mean is not above zero, or that has no spread yet, tells nothing: there it is the prior.
 */
export function flipPosterior(gap: number, { gapMean, gapSquare }: GapMoments, prior: number): number {
  const variance = gapSquare - gapMean ** 2;
  if (gapMean <= 0 || variance <= 0 || prior <= 0 || prior >= 1) return prior;
  // In logarithms: the odds of a tiny prior are too large for a number.
  return 1 / (1 + Math.exp(Math.log1p(-prior) - Math.log(prior) + (2 * gapMean * gap) / variance));
}
