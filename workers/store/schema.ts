import { integer, real, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { Scope } from "../../shared/contracts/common.ts";
import type { GateResult } from "../../shared/contracts/training.ts";

/** Tables that are read through Drizzle, with their columns' types. `migrations/` makes the tables; a test compares the two. */

export const clients = sqliteTable("clients", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  reportCap: integer("report_cap").notNull(),
  createdAt: integer("created_at").notNull(),
});

export const apiKeys = sqliteTable("api_keys", {
  id: text("id").primaryKey(),
  clientId: text("client_id").notNull(),
  keySha256: text("key_sha256").notNull(),
  scopes: text("scopes", { mode: "json" }).$type<Scope[]>().notNull(),
  createdAt: integer("created_at").notNull(),
  revokedAt: integer("revoked_at"),
  expiresAt: integer("expires_at"),
  rotatedFrom: text("rotated_from"),
  eventsPerMinute: integer("events_per_minute").notNull(),
  requestsPerMinute: integer("requests_per_minute").notNull(),
});

export const keyUsage = sqliteTable("key_usage", {
  keyId: text("key_id").primaryKey(),
  minute: integer("minute").notNull(),
  events: integer("events").notNull(),
  requests: integer("requests").notNull(),
});

export const images = sqliteTable("images", {
  sha256: text("sha256").primaryKey(),
  mediaType: text("media_type").notNull(),
  bytes: integer("bytes").notNull(),
  width: integer("width").notNull(),
  height: integer("height").notNull(),
  createdAt: integer("created_at").notNull(),
  wantedAt: integer("wanted_at").notNull(),
});

export const policies = sqliteTable("policies", {
  version: integer("version").primaryKey(),
  document: text("document", { mode: "json" }).$type<unknown>().notNull(),
  createdAt: integer("created_at").notNull(),
  author: text("author").notNull(),
  reason: text("reason").notNull(),
});

export const regions = sqliteTable("regions", {
  key: text("key").primaryKey(),
  task: text("task").notNull(),
  errorType: text("error_type").notNull(),
  language: text("language").notNull(),
  modality: text("modality").notNull(),
  createdAt: integer("created_at").notNull(),
  failures: real("failures").notNull(),
  exposures: real("exposures").notNull(),
  failureMass: real("failure_mass").notNull(),
  newFailures: real("new_failures").notNull(),
  newExposures: real("new_exposures").notNull(),
  totalFailures: integer("total_failures").notNull(),
  totalExposures: integer("total_exposures").notNull(),
  abilityMean: real("ability_mean").notNull(),
  abilityVar: real("ability_var").notNull(),
  level: integer("level").notNull(),
  costTokens: real("cost_tokens").notNull(),
  chosenLogRatio: real("chosen_log_ratio").notNull(),
  backlog: integer("backlog").notNull(),
  plannedAt: integer("planned_at"),
  scored: integer("scored").notNull(),
  archivedAt: integer("archived_at"),
  lastFailedAt: integer("last_failed_at"),
  costMicros: real("cost_micros").notNull(),
  gapMean: real("gap_mean").notNull(),
  gapSquare: real("gap_square").notNull(),
  stairLevel: integer("stair_level").notNull(),
  rateWatch: text("rate_watch").notNull(),
  roundWatch: text("round_watch").notNull(),
});

export const rounds = sqliteTable("rounds", {
  id: text("id").primaryKey(),
  trainer: text("trainer").notNull(),
  state: text("state", { enum: ["claimed", "completed", "released", "expired"] }).notNull(),
  createdAt: integer("created_at").notNull(),
  finishedAt: integer("finished_at"),
  policyVersion: integer("policy_version").notNull(),
  referenceAdapter: text("reference_adapter"),
  pairs: integer("pairs").notNull(),
  batchSha256: text("batch_sha256").notNull(),
  progress: text("progress", { mode: "json" }).$type<Record<string, unknown>>().notNull(),
  adapter: text("adapter"),
  verdict: text("verdict", { enum: ["promoted", "rejected", "inconclusive"] }),
  gate: text("gate", { mode: "json" }).$type<GateResult>(),
  metrics: text("metrics", { mode: "json" }).$type<Record<string, number>>(),
});
