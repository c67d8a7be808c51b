import { Heap } from "./heap.ts";

/** Something that gets whole pieces in proportion to its weight, `most` of them at most. */
export interface Share {
  readonly key: string;
  /** 0 or more. */
  readonly weight: number;
  readonly most: number;
}

/**
 * At most `room` pieces by weight: each goes to the one with the largest weight / (2 given + 1), the quotients of Sainte-Lague,
 * ties by key. Those that got none are left out.
 */
export function apportion(shares: readonly Share[], room: number): Map<string, number> {
  const given = new Map<string, number>();
  const quotient = ({ key, weight }: Share) => weight / (2 * (given.get(key) ?? 0) + 1);
  const heap = new Heap<Share>((a, b) => {
    const [first, second] = [quotient(a), quotient(b)];
    return first > second || (first === second && a.key < b.key);
  });
  for (const share of shares) if (share.most > 0 && share.weight > 0) heap.push(share);
  let left = room;
  for (let next = heap.pop(); next && left > 0; next = heap.pop()) {
    const pieces = (given.get(next.key) ?? 0) + 1;
    given.set(next.key, pieces);
    left -= 1;
    if (pieces < next.most) heap.push(next);
  }
  return given;
}
