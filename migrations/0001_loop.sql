-- The loop's first schema. Times are integer milliseconds since the Unix epoch, money is integer micro-units, hashes are lower-case hex.
-- Additive migrations only, no CASCADE. What each table means stands in docs/storage.md.

CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  report_cap INTEGER NOT NULL CHECK (report_cap > 0), -- reports that count per region and tick
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id),
  key_sha256 TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL, -- JSON array
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;

CREATE TABLE images (
  sha256 TEXT PRIMARY KEY,
  media_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- One row per reported event: wrong answers, right answers (they are exposures, and sources too), and unjudged ones.
CREATE TABLE failures (
  id TEXT PRIMARY KEY, -- hash of client id and event id
  client_id TEXT NOT NULL REFERENCES clients (id),
  event_id TEXT NOT NULL,
  content_sha256 TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  occurred_at INTEGER NOT NULL,
  model TEXT NOT NULL,
  adapter TEXT,
  conversation TEXT NOT NULL, -- JSON
  response TEXT NOT NULL,
  reference TEXT, -- the right answer as far as it was told: the correction, else the reference
  verdict TEXT NOT NULL CHECK (verdict IN ('wrong', 'right', 'unjudged')),
  region TEXT NOT NULL,
  UNIQUE (client_id, event_id)
) STRICT;

-- A verified right answer that can be edited. own_answer is what the deployed model said instead, when it was wrong.
CREATE TABLE sources (
  id TEXT PRIMARY KEY,
  failure_id TEXT REFERENCES failures (id),
  images TEXT NOT NULL, -- JSON array of hashes
  split TEXT NOT NULL CHECK (split IN ('train', 'gate', 'mixed')),
  conversation TEXT NOT NULL, -- JSON: the prompt, ending with the user's turn
  answer TEXT NOT NULL,
  own_answer TEXT,
  task TEXT NOT NULL,
  error_type TEXT NOT NULL,
  language TEXT NOT NULL,
  modality TEXT NOT NULL,
  polarity TEXT CHECK (polarity IN ('yes', 'no')),
  jobs INTEGER NOT NULL DEFAULT 0, -- edit jobs ordered so far
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sources_to_edit ON sources (task, language, modality, jobs, created_at DESC) WHERE split = 'train';
CREATE INDEX sources_gate ON sources (task, created_at) WHERE split = 'gate';

-- Statistics, kept by the writers of events; the scheduler reads nothing else.
CREATE TABLE regions (
  key TEXT PRIMARY KEY, -- task/error/language/modality
  task TEXT NOT NULL,
  error_type TEXT NOT NULL,
  language TEXT NOT NULL,
  modality TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  failures REAL NOT NULL DEFAULT 0, -- decayed
  exposures REAL NOT NULL DEFAULT 0, -- decayed
  failure_mass REAL NOT NULL DEFAULT 0,
  new_failures REAL NOT NULL DEFAULT 0, -- since the last tick, capped per client
  new_exposures REAL NOT NULL DEFAULT 0,
  total_failures INTEGER NOT NULL DEFAULT 0,
  total_exposures INTEGER NOT NULL DEFAULT 0,
  ability_mean REAL NOT NULL DEFAULT 0,
  ability_var REAL NOT NULL DEFAULT 1,
  level INTEGER NOT NULL DEFAULT 2,
  cost_tokens REAL NOT NULL DEFAULT 0, -- per accepted pair, EMA
  chosen_log_ratio REAL NOT NULL DEFAULT 0, -- nats, EMA
  backlog INTEGER NOT NULL DEFAULT 0, -- pairs that are ready, not trained yet
  planned_at INTEGER, -- the last tick that gave it pairs
  scored INTEGER NOT NULL DEFAULT 0 -- fresh pairs measured by rounds
) STRICT;
CREATE INDEX regions_exposed ON regions (task, language, modality);

CREATE TABLE region_levels (
  region TEXT NOT NULL REFERENCES regions (key),
  level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4),
  attempted REAL NOT NULL DEFAULT 0, -- decayed
  refused REAL NOT NULL DEFAULT 0, -- decayed
  PRIMARY KEY (region, level)
) STRICT;

CREATE TABLE difficulties (
  error_type TEXT NOT NULL,
  level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4),
  difficulty REAL NOT NULL, -- logits
  PRIMARY KEY (error_type, level)
) STRICT;

-- How often a client's reports already counted in a region since the last tick.
CREATE TABLE region_reports (
  client_id TEXT NOT NULL REFERENCES clients (id),
  region TEXT NOT NULL,
  counted INTEGER NOT NULL,
  PRIMARY KEY (client_id, region)
) STRICT;

CREATE TABLE policies (
  version INTEGER PRIMARY KEY,
  document TEXT NOT NULL, -- JSON
  created_at INTEGER NOT NULL,
  author TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;

CREATE TABLE ticks (
  id INTEGER PRIMARY KEY,
  slot TEXT NOT NULL UNIQUE, -- the time slot or the name of the demand: one plan each
  at INTEGER NOT NULL,
  policy_version INTEGER NOT NULL REFERENCES policies (version),
  seed INTEGER NOT NULL,
  inputs TEXT NOT NULL, -- JSON, canonical
  inputs_sha256 TEXT NOT NULL,
  plan TEXT NOT NULL, -- JSON, canonical
  plan_sha256 TEXT NOT NULL,
  jobs INTEGER NOT NULL
) STRICT;

CREATE TABLE edit_jobs (
  id TEXT PRIMARY KEY, -- hash of source, error type and level
  tick_id INTEGER NOT NULL REFERENCES ticks (id),
  source_id TEXT NOT NULL REFERENCES sources (id),
  region TEXT NOT NULL,
  error_type TEXT NOT NULL,
  level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4),
  state TEXT NOT NULL CHECK (state IN ('queued', 'accepted', 'refused', 'failed')),
  reason TEXT, -- why it was refused or failed
  editor TEXT, -- builtin, or the model's name
  tokens_in INTEGER NOT NULL DEFAULT 0,
  tokens_out INTEGER NOT NULL DEFAULT 0,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;
CREATE INDEX edit_jobs_queued ON edit_jobs (created_at) WHERE state = 'queued';
CREATE INDEX edit_jobs_tick ON edit_jobs (tick_id, state, reason);
CREATE UNIQUE INDEX edit_jobs_source ON edit_jobs (source_id, error_type, level);

CREATE TABLE rounds (
  id TEXT PRIMARY KEY,
  trainer TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('claimed', 'completed', 'released', 'expired')),
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  policy_version INTEGER NOT NULL REFERENCES policies (version),
  reference_adapter TEXT, -- null: the base model
  pairs INTEGER NOT NULL,
  batch_sha256 TEXT NOT NULL, -- digest of the sorted pair ids
  progress TEXT NOT NULL DEFAULT '{}', -- JSON: phase, step, steps
  adapter TEXT,
  verdict TEXT CHECK (verdict IN ('promoted', 'rejected', 'inconclusive')),
  gate TEXT, -- JSON: the numbers that decided
  metrics TEXT, -- JSON
  completion_sha256 TEXT -- digest of the request that completed it: the same again gets the same answer
) STRICT;

CREATE TABLE leases (
  id TEXT PRIMARY KEY,
  round_id TEXT NOT NULL REFERENCES rounds (id),
  trainer TEXT NOT NULL,
  fence INTEGER NOT NULL, -- grows with every holder; a lower one is refused
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'closed', 'expired'))
) STRICT;
CREATE INDEX leases_live ON leases (expires_at) WHERE state = 'live';
CREATE INDEX leases_round ON leases (round_id);

-- One chosen and one rejected answer: level, state and scores belong to the rejected one. Pairs of one source are one group.
CREATE TABLE pairs (
  id TEXT PRIMARY KEY,
  job_id TEXT NOT NULL UNIQUE REFERENCES edit_jobs (id),
  source_id TEXT NOT NULL REFERENCES sources (id),
  region TEXT NOT NULL,
  error_type TEXT NOT NULL,
  level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4),
  rejected TEXT NOT NULL,
  polarity TEXT CHECK (polarity IN ('yes', 'no')), -- its source's
  origin TEXT NOT NULL, -- builtin, own, or the model's name
  state TEXT NOT NULL CHECK (state IN ('ready', 'leased', 'trained', 'saturated', 'quarantined', 'rejected', 'parked', 'expired')),
  round_id TEXT REFERENCES rounds (id), -- the round that holds it, or that trained it last
  trainings INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  UNIQUE (source_id, rejected)
) STRICT;
CREATE INDEX pairs_ready ON pairs (region, polarity, created_at, id) WHERE state = 'ready';
CREATE INDEX pairs_ready_source ON pairs (source_id) WHERE state = 'ready';
CREATE INDEX pairs_round ON pairs (round_id, id);

CREATE TABLE pair_scores (
  pair_id TEXT NOT NULL REFERENCES pairs (id),
  round_id TEXT NOT NULL REFERENCES rounds (id),
  chosen_before REAL NOT NULL, -- summed log-probability, nats
  rejected_before REAL NOT NULL,
  chosen_after REAL NOT NULL,
  rejected_after REAL NOT NULL,
  chosen_tokens INTEGER NOT NULL,
  rejected_tokens INTEGER NOT NULL,
  PRIMARY KEY (pair_id, round_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pair_scores_round ON pair_scores (round_id);

-- What a trainer refused to train on, with its reason.
CREATE TABLE pair_refusals (
  pair_id TEXT NOT NULL REFERENCES pairs (id),
  round_id TEXT NOT NULL REFERENCES rounds (id),
  reason TEXT NOT NULL,
  PRIMARY KEY (pair_id, round_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE adapters (
  sha256 TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  round_id TEXT REFERENCES rounds (id),
  manifest TEXT, -- JSON, null until its round is complete
  state TEXT NOT NULL CHECK (state IN ('uploaded', 'candidate', 'champion', 'previous', 'rejected'))
) STRICT;

-- champion and previous; a null adapter is the base model.
CREATE TABLE pointers (
  name TEXT PRIMARY KEY CHECK (name IN ('champion', 'previous')),
  adapter TEXT REFERENCES adapters (sha256),
  round_id TEXT REFERENCES rounds (id),
  updated_at INTEGER NOT NULL
) STRICT;
INSERT INTO pointers (name, adapter, round_id, updated_at) VALUES ('champion', NULL, NULL, 0), ('previous', NULL, NULL, 0);

CREATE TABLE audit_log (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  details TEXT NOT NULL -- JSON
) STRICT;
