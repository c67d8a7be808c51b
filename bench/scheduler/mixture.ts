import type { Random } from "../../shared/hardness/simulator/random.ts";

/** A Gaussian of a mixture. Vectors are plain lists; a covariance is kept with its Cholesky factor, lower and row by row. */
interface Gaussian {
  readonly weight: number;
  readonly mean: readonly number[];
  readonly factor: readonly (readonly number[])[];
}
export interface Mixture {
  readonly gaussians: readonly Gaussian[];
  /** Akaike's information criterion on the points it was fitted to. */
  readonly aic: number;
}

/** Added to every variance. */
const RIDGE = 1e-6;
const MAX_STEPS = 100;
/** EM ends when a step raises the mean log-likelihood by less, nats. */
const TOLERANCE = 1e-3;
const KMEANS_STEPS = 20;

/** Expectation-maximisation with full covariances, from the clusters of k-means. */
export function fitMixture(points: readonly (readonly number[])[], components: number, random: Random): Mixture {
  const dimensions = points[0]?.length ?? 0;
  let shares = clusters(points, components, random);
  let gaussians: Gaussian[] = [];
  let likelihood = Number.NEGATIVE_INFINITY;
  for (let step = 0; step < MAX_STEPS; step++) {
    gaussians = maximise(points, shares, components);
    const before = likelihood;
    ({ shares, likelihood } = expect(points, gaussians));
    if (Math.abs(likelihood - before) < TOLERANCE) break;
  }
  const parameters = components * (1 + dimensions + (dimensions * (dimensions + 1)) / 2) - 1;
  return { gaussians, aic: 2 * parameters - 2 * likelihood * points.length };
}

export function sampleGaussian({ mean, factor }: Gaussian, random: Random): number[] {
  const normals = mean.map(() => random.normal());
  return mean.map((centre, i) => centre + dot(factor[i] ?? [], normals, i + 1));
}

/** Each point wholly in the cluster of its nearest centre; centres begin at points far from each other (k-means++). */
function clusters(points: readonly (readonly number[])[], count: number, random: Random): number[][] {
  let centres = [points[random.below(points.length)] ?? []];
  while (centres.length < count) {
    const far = points.map((point) => Math.min(...centres.map((centre) => squareDistance(point, centre))));
    const total = far.reduce((sum, d) => sum + d, 0);
    centres.push(points[total > 0 ? random.weighted(far, total) : random.below(points.length)] ?? []);
  }
  let nearest: number[] = [];
  for (let step = 0; step < KMEANS_STEPS; step++) {
    const before = nearest;
    nearest = points.map((point) => nearestOf(point, centres));
    if (before.length > 0 && nearest.every((k, i) => k === before[i])) break;
    centres = centres.map((centre, k) => meanOf(points.filter((_, i) => nearest[i] === k)) ?? centre);
  }
  return nearest.map((own) => Array.from({ length: count }, (_, k) => (k === own ? 1 : 0)));
}

function nearestOf(point: readonly number[], centres: readonly (readonly number[])[]): number {
  const distances = centres.map((centre) => squareDistance(point, centre));
  return distances.indexOf(Math.min(...distances));
}

function maximise(
  points: readonly (readonly number[])[],
  shares: readonly (readonly number[])[],
  count: number,
): Gaussian[] {
  const dimensions = points[0]?.length ?? 0;
  return Array.from({ length: count }, (_, k) => {
    const owned = 1e-12 + shares.reduce((sum, share) => sum + (share[k] ?? 0), 0);
    const mean = new Array<number>(dimensions).fill(0);
    const spread = Array.from({ length: dimensions }, () => new Array<number>(dimensions).fill(0));
    for (const [i, point] of points.entries()) {
      const share = (shares[i]?.[k] ?? 0) / owned;
      for (let a = 0; a < dimensions; a++) mean[a] = (mean[a] ?? 0) + share * (point[a] ?? 0);
    }
    for (const [i, point] of points.entries()) {
      const share = (shares[i]?.[k] ?? 0) / owned;
      if (share === 0) continue;
      for (let a = 0; a < dimensions; a++) {
        const row = spread[a] as number[];
        const off = share * ((point[a] ?? 0) - (mean[a] ?? 0));
        for (let b = 0; b <= a; b++) row[b] = (row[b] ?? 0) + off * ((point[b] ?? 0) - (mean[b] ?? 0));
      }
    }
    for (let a = 0; a < dimensions; a++) (spread[a] as number[])[a] = (spread[a]?.[a] ?? 0) + RIDGE;
    return { weight: owned / points.length, mean, factor: cholesky(spread) };
  });
}

/** Which share of each point belongs to which Gaussian, and the mean log-likelihood. */
function expect(points: readonly (readonly number[])[], gaussians: readonly Gaussian[]) {
  const constants = gaussians.map(({ weight, factor }) => {
    const logDeterminant = factor.reduce((sum, row, a) => sum + Math.log(row[a] ?? 1), 0);
    return Math.log(weight) - logDeterminant - (factor.length / 2) * Math.log(2 * Math.PI);
  });
  let likelihood = 0;
  const shares = points.map((point) => {
    const logs = gaussians.map((gaussian, k) => (constants[k] ?? 0) - distance(point, gaussian) / 2);
    const most = Math.max(...logs);
    const parts = logs.map((log) => Math.exp(log - most));
    let total = 0;
    for (const part of parts) total += part;
    likelihood += (most + Math.log(total)) / points.length;
    return parts.map((part) => part / total);
  });
  return { shares, likelihood };
}

/** Mahalanobis' distance, squared: the factor is solved by forward substitution. */
function distance(point: readonly number[], { mean, factor }: Gaussian): number {
  const solved: number[] = [];
  let sum = 0;
  for (let a = 0; a < mean.length; a++) {
    const row = factor[a] ?? [];
    const z = ((point[a] ?? 0) - (mean[a] ?? 0) - dot(row, solved, a)) / (row[a] ?? 1);
    solved.push(z);
    sum += z * z;
  }
  return sum;
}

function cholesky(matrix: readonly (readonly number[])[]): number[][] {
  const factor: number[][] = [];
  for (const [a, row] of matrix.entries()) {
    const own: number[] = [];
    for (let b = 0; b <= a; b++) {
      const other = b === a ? own : (factor[b] ?? []);
      const rest = (row[b] ?? 0) - dot(own, other, b);
      own.push(b === a ? Math.sqrt(Math.max(rest, RIDGE)) : rest / (other[b] ?? 1));
    }
    factor.push(own);
  }
  return factor;
}

function dot(a: readonly number[], b: readonly number[], length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function squareDistance(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) ** 2, 0);
}

function meanOf(points: readonly (readonly number[])[]): number[] | null {
  const [first] = points;
  if (!first) return null;
  return first.map((_, a) => points.reduce((sum, point) => sum + (point[a] ?? 0), 0) / points.length);
}
