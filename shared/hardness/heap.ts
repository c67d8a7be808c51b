/** A binary heap: `before(a, b)` says that `a` comes out before `b`. It is built in O(n); every other change is O(log n). */
export class Heap<T> {
  readonly #items: T[];
  readonly #before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean, items: readonly T[] = []) {
    this.#before = before;
    this.#items = items.slice();
    for (let place = (this.#items.length >> 1) - 1; place >= 0; place--) this.#sink(place);
  }

  get top(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    let place = this.#items.push(item) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#swapUnless(parent, place)) return;
      place = parent;
    }
  }

  pop(): T | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return first;
    this.#items[0] = last;
    this.#sink(0);
    return first;
  }

  /** Puts the top where it belongs, after what `before` says of it has changed. */
  settle(): void {
    this.#sink(0);
  }

  #sink(start: number): void {
    for (let place = start; ; ) {
      const [left, right] = [2 * place + 1, 2 * place + 2];
      if (left >= this.#items.length) return;
      const child = right < this.#items.length && this.#inOrder(right, left) ? right : left;
      if (!this.#swapUnless(place, child)) return;
      place = child;
    }
  }

  #inOrder(upper: number, lower: number): boolean {
    return this.#before(this.#items[upper] as T, this.#items[lower] as T);
  }

  /** Puts the two in order; true if they were not. */
  #swapUnless(upper: number, lower: number): boolean {
    if (!this.#inOrder(lower, upper)) return false;
    const item = this.#items[upper] as T;
    this.#items[upper] = this.#items[lower] as T;
    this.#items[lower] = item;
    return true;
  }
}
