/** What one step of retention may do. D1 allows 1,000 statements per invocation, and other rooms run in the same one. */
export const RETENTION_LIMITS = {
  /** Time after which a step begins nothing new. */
  stepMs: 20_000,
  /** Time that the request for an erasure itself spends on it. */
  requestMs: 5_000,
  /** Events whose images are noted in one transaction, and transactions per step. */
  refsEvents: 4_000,
  refsWindows: 50,
  /** Events looked at for the archive at once, and objects written per step. */
  archiveWindow: 10_000,
  archiveObjects: 30,
  /** Events in one object, and bytes of their texts. */
  archiveEvents: 5_000,
  archiveBytes: 4_000_000,
  expireArchives: 20,
  /** Images looked at per step, and images removed in one transaction. R2 deletes at most 1,000 objects at once. */
  collectWindow: 5_000,
  collectImages: 1_000,
  /** Blobs listed per step and kind. */
  sweepBlobs: 500,
  /** Events erased in one transaction, and transactions per step. */
  eraseEvents: 1_000,
  eraseRounds: 20,
} as const;
export type RetentionLimits = { readonly [Name in keyof typeof RETENTION_LIMITS]: number };

/**
 * Ids are given just before their commit, so events become visible nearly in the order of their ids; one that comes late is
 * visible by now.
 */
export const REFS_LAG_MS = 60_000;
/** Age at which a removal has lost its worker: no invocation lives longer. */
export const REMOVAL_LOST_MS = 15 * 60_000;
/** For how long a removal that is done is remembered; no upload takes longer. */
export const REMOVAL_KEPT_MS = 86_400_000;
/** Age at which a blob without a row will get none any more. */
export const ORPHAN_AGE_MS = 86_400_000;

/** Who is named in the audit log. */
export const RETENTION_ACTOR = "system";
