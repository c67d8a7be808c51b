import type { SpendingPolicy } from "../../shared/contracts/policy.ts";
import { microsOf, type Tokens } from "../../shared/edits/price.ts";
import { type Amount, type Reservation, reserve, settle } from "../store/spending.ts";

/** Calls beyond the present one that a reservation covers where the day's limit allows: it saves the database many small ones. */
const CALLS_AHEAD = 8;
const NOTHING: Amount = { tokens: 0, micros: 0 };

/** The day's limit of tokens or money is reached: no call may be made. */
export class OutOfFunds extends Error {
  override readonly name = "OutOfFunds";
}

/**
 * What one piece of work may spend on models. Every call draws its worst case before it is made and gives back what it did not
 * use; draws are covered by reservations of the day's limit. `close` settles them. A purse that is never closed, as after a crash,
 * counts as spent in full.
 */
export class Purse {
  readonly policy: SpendingPolicy;
  readonly #db: D1Database;
  readonly #reservations: Reservation[] = [];
  /** Reserved and not drawn; below 0 after calls that used more than their worst case. */
  #free = NOTHING;
  /** Drawn by calls that are under way. */
  #drawn = NOTHING;
  #used = NOTHING;
  #refused = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(db: D1Database, policy: SpendingPolicy) {
    this.#db = db;
    this.policy = policy;
  }

  amountOf(tokens: Tokens): Amount {
    return { tokens: tokens.tokensIn + tokens.tokensOut, micros: microsOf(tokens, this.policy) };
  }

  /** @throws {OutOfFunds} when there is not so much left */
  draw(worst: Amount): Promise<void> {
    // One after the other, so that calls at once share a reservation.
    const drawing = this.#turn.then(() => this.#draw(worst));
    this.#turn = drawing.catch(() => {});
    return drawing;
  }

  /** Ends a call that drew `worst` and used `used`. */
  giveBack(worst: Amount, used: Amount): void {
    this.#drawn = minus(this.#drawn, worst);
    this.#used = plus(this.#used, used);
    this.#free = plus(this.#free, minus(worst, used));
  }

  /** Settles everything; calls that are still under way count as their worst case. */
  async close(): Promise<void> {
    let left = plus(this.#used, this.#drawn);
    for (const [index, reservation] of this.#reservations.entries()) {
      // What misbehaving servers used above all reservations is the last one's.
      const part = index === this.#reservations.length - 1 ? left : least(left, reservation);
      left = minus(left, part);
      await settle(this.#db, reservation, part);
    }
  }

  async #draw(worst: Amount): Promise<void> {
    const lacking = most(minus(worst, this.#free), NOTHING);
    if (lacking.tokens > 0 || lacking.micros > 0) await this.#reserve(lacking, worst);
    this.#free = minus(this.#free, worst);
    this.#drawn = plus(this.#drawn, worst);
  }

  async #reserve(lacking: Amount, worst: Amount): Promise<void> {
    if (this.#refused) throw new OutOfFunds();
    const ahead = { tokens: CALLS_AHEAD * worst.tokens, micros: CALLS_AHEAD * worst.micros };
    const ask = (amount: Amount) => reserve(this.#db, amount, this.policy, Date.now());
    const made = (await ask(plus(lacking, ahead))) ?? (await ask(lacking));
    this.#refused = made === null;
    if (!made) throw new OutOfFunds();
    this.#reservations.push(made);
    this.#free = plus(this.#free, made);
  }
}

function each(a: Amount, b: Amount, of: (a: number, b: number) => number): Amount {
  return { tokens: of(a.tokens, b.tokens), micros: of(a.micros, b.micros) };
}
const plus = (a: Amount, b: Amount) => each(a, b, (x, y) => x + y);
const minus = (a: Amount, b: Amount) => each(a, b, (x, y) => x - y);
const least = (a: Amount, b: Amount) => each(a, b, Math.min);
const most = (a: Amount, b: Amount) => each(a, b, Math.max);
