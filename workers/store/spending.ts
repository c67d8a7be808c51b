import type { PolicyDocument, SpendingPolicy } from "../../shared/contracts/policy.ts";
import type { Funds } from "../../shared/hardness/state.ts";
import { DAY_MS } from "../../shared/time.ts";
import { retryWrite } from "./db.ts";

/** Age at which a reservation counts as spent: whoever made it is gone. */
export const RESERVATION_MS = 15 * 60_000;

/** Tokens and micro-units of money, whole numbers. */
export interface Amount {
  readonly tokens: number;
  readonly micros: number;
}

/** What may be spent, until it is settled. It belongs to the day on which it was made. */
export interface Reservation extends Amount {
  readonly id: string;
}

type Limits = Pick<SpendingPolicy, "tokensPerDay" | "microsPerDay">;

/** A day (UTC), since the epoch. */
const dayOf = (now: number) => Math.floor(now / DAY_MS);

/**
 * Sets an amount aside before it is spent. What is reserved and spent in a day never passes the day's limits, however many
 * reserve at once; money limits only what costs money. A reservation that nobody settles counts as spent after a while
 * (`sweepReservations`), so one whose answer was lost wastes some and breaks nothing.
 * @returns null when the day's limit would be passed
 */
export async function reserve(db: D1Database, asked: Amount, limits: Limits, now: number): Promise<Reservation | null> {
  return retryWrite(async () => {
    const [id, day] = [crypto.randomUUID(), dayOf(now)];
    const [, made] = await db.batch([
      db.prepare("INSERT INTO spending (day) VALUES (?1) ON CONFLICT DO NOTHING").bind(day),
      db
        .prepare(
          `INSERT INTO reservations (id, day, tokens, micros, created_at)
           SELECT ?1, day, ?3, ?4, ?7 FROM spending WHERE day = ?2
             AND tokens_reserved + tokens_spent + ?3 <= ?5 AND (?4 = 0 OR micros_reserved + micros_spent + ?4 <= ?6)`,
        )
        .bind(id, day, asked.tokens, asked.micros, limits.tokensPerDay, limits.microsPerDay, now),
      db
        .prepare(
          `UPDATE spending SET tokens_reserved = tokens_reserved + r.tokens, micros_reserved = micros_reserved + r.micros
           FROM reservations r WHERE r.id = ?1 AND spending.day = r.day`,
        )
        .bind(id),
    ]);
    return made?.meta.changes === 1 ? { id, tokens: asked.tokens, micros: asked.micros } : null;
  });
}

/**
 * Says what a reservation came to: once, whatever is said later. More than was reserved counts as spent too, so that nobody
 * else can reserve it. Without effect on one that was swept, which was spent in full.
 */
export async function settle(db: D1Database, { id }: Reservation, used: Amount): Promise<void> {
  await retryWrite(() =>
    db.batch([
      db
        .prepare(
          `UPDATE spending SET tokens_reserved = tokens_reserved - r.tokens, micros_reserved = micros_reserved - r.micros,
             tokens_spent = tokens_spent + ?2, micros_spent = micros_spent + ?3
           FROM reservations r WHERE r.id = ?1 AND spending.day = r.day`,
        )
        .bind(id, used.tokens, used.micros),
      db.prepare("DELETE FROM reservations WHERE id = ?1").bind(id),
    ]),
  );
}

/**
 * Counts old reservations as spent in full.
 * @returns how many
 */
export async function sweepReservations(db: D1Database, now: number): Promise<number> {
  const before = now - RESERVATION_MS;
  const [, swept] = await db.batch([
    db
      .prepare(
        `UPDATE spending SET
           tokens_reserved = tokens_reserved - due.tokens, micros_reserved = micros_reserved - due.micros,
           tokens_spent = tokens_spent + due.tokens, micros_spent = micros_spent + due.micros
         FROM (SELECT day, sum(tokens) AS tokens, sum(micros) AS micros FROM reservations
               WHERE created_at < ?1 GROUP BY day) due
         WHERE spending.day = due.day`,
      )
      .bind(before),
    db.prepare("DELETE FROM reservations WHERE created_at < ?1").bind(before),
  ]);
  return swept?.meta.changes ?? 0;
}

/**
 * What is left of the day's limits. Money is null without prices, and both are without a model: then nothing is spent.
 * @param hasModel whether a model edits
 */
export async function fundsOf(
  db: D1Database,
  { spending }: Pick<PolicyDocument, "spending">,
  now: number,
  hasModel: boolean,
): Promise<Funds> {
  if (!hasModel) return { tokens: null, micros: null };
  const taken = await db
    .prepare(
      `SELECT tokens_reserved + tokens_spent AS tokens, micros_reserved + micros_spent AS micros FROM spending
       WHERE day = ?1`,
    )
    .bind(dayOf(now))
    .first<Amount>();
  const left = (limit: number, used: number | undefined) => Math.max(0, limit - (used ?? 0));
  const priced = spending.inputMicrosPerMillion > 0 || spending.outputMicrosPerMillion > 0;
  return {
    tokens: left(spending.tokensPerDay, taken?.tokens),
    micros: priced ? left(spending.microsPerDay, taken?.micros) : null,
  };
}

/** One day's spending. */
export interface SpendingDay {
  /** As in 2026-01-31. */
  readonly day: string;
  readonly tokensReserved: number;
  readonly tokensSpent: number;
  readonly microsReserved: number;
  readonly microsSpent: number;
}

/** The newest `days` days on which something was reserved, the newest first. */
export async function listSpending(db: D1Database, days: number): Promise<SpendingDay[]> {
  const found = await db
    .prepare(
      `SELECT date(day * 86400, 'unixepoch') AS day, tokens_reserved AS tokensReserved, tokens_spent AS tokensSpent,
              micros_reserved AS microsReserved, micros_spent AS microsSpent
       FROM spending ORDER BY spending.day DESC LIMIT ?1`,
    )
    .bind(days)
    .all<SpendingDay>();
  return found.results;
}
