/** What a key has used up in one minute, and what it may. */
export interface Usage {
  readonly keyId: string;
  /** Minutes since the Unix epoch. */
  readonly minute: number;
  readonly events: number;
  readonly requests: number;
  readonly eventsLimit: number;
  readonly requestsLimit: number;
}

/**
 * Adds to what a key used of its limits, for the batch that does what is counted: when a limit would be passed, the table's
 * checks refuse the whole batch. A newer minute begins at zero; an older one, from a clock that is late, counts into the newer.
 */
export function usageStatement(db: D1Database, usage: Usage): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO key_usage (key_id, minute, events, events_limit, requests, requests_limit)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6)
       ON CONFLICT (key_id) DO UPDATE SET
         minute = max(minute, excluded.minute),
         events = iif(excluded.minute > minute, 0, events) + excluded.events,
         events_limit = excluded.events_limit,
         requests = iif(excluded.minute > minute, 0, requests) + excluded.requests,
         requests_limit = excluded.requests_limit`,
    )
    .bind(usage.keyId, usage.minute, usage.events, usage.eventsLimit, usage.requests, usage.requestsLimit);
}

/** Whether a batch was refused because a key would have passed one of its limits. */
export function isLimitViolation(error: unknown): boolean {
  return error instanceof Error && /CHECK constraint failed: (events|requests)_per_minute\b/.test(error.message);
}
