-- The intake: what an event says besides its answer, what is kept aside, limits and last use of keys, metrics, retention.

ALTER TABLE failures ADD COLUMN kind TEXT NOT NULL DEFAULT 'failure' CHECK (kind IN ('failure', 'pair'));
ALTER TABLE failures ADD COLUMN details TEXT; -- JSON: reason, reward, rewards, decoding, tags, the language as tagged
ALTER TABLE failures ADD COLUMN held TEXT; -- why it counts for nothing yet
ALTER TABLE failures ADD COLUMN answered_by TEXT; -- who gave the right answer afterwards: an actor or a teacher model
-- How often a teacher model was asked in vain; what was not its fault counts as a small part of an attempt.
ALTER TABLE failures ADD COLUMN teacher_attempts REAL NOT NULL DEFAULT 0;
ALTER TABLE failures ADD COLUMN images TEXT NOT NULL DEFAULT '[]'; -- JSON array of hashes, video frames too
UPDATE failures SET images = (SELECT json_group_array(DISTINCT value) FROM json_tree(conversation) WHERE key = 'sha256');
ALTER TABLE failures ADD COLUMN split TEXT CHECK (split IN ('train', 'gate', 'mixed')); -- null: the right answer is not known
ALTER TABLE failures ADD COLUMN polarity TEXT CHECK (polarity IN ('yes', 'no')); -- of the right answer
-- Ids of events are 't', the time of arrival and a random part, so rows and their indexes grow at the end.
CREATE INDEX failures_held ON failures (held, id) WHERE held IS NOT NULL;
CREATE INDEX failures_waiting ON failures (id) WHERE verdict <> 'right' AND reference IS NULL AND held IS NULL;
CREATE INDEX failures_teachable ON failures (teacher_attempts, id)
  WHERE verdict <> 'right' AND reference IS NULL AND held IS NULL;
-- A failure that is archived or erased is looked for among its children.
CREATE INDEX sources_failure ON sources (failure_id);
ALTER TABLE sources ADD COLUMN client_id TEXT REFERENCES clients (id); -- whose event it was, once the event has left the database
CREATE INDEX sources_client ON sources (client_id) WHERE client_id IS NOT NULL;

ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
ALTER TABLE api_keys ADD COLUMN rotated_from TEXT REFERENCES api_keys (id);
ALTER TABLE api_keys ADD COLUMN events_per_minute INTEGER NOT NULL DEFAULT 60000 CHECK (events_per_minute > 0);
ALTER TABLE api_keys ADD COLUMN requests_per_minute INTEGER NOT NULL DEFAULT 6000 CHECK (requests_per_minute > 0);

-- What a key used of its limits in the newest minute it was used in. The checks refuse the transaction that would pass a limit.
CREATE TABLE key_usage (
  key_id TEXT PRIMARY KEY REFERENCES api_keys (id),
  minute INTEGER NOT NULL, -- since the epoch
  events INTEGER NOT NULL,
  events_limit INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  requests_limit INTEGER NOT NULL,
  CONSTRAINT events_per_minute CHECK (events <= events_limit),
  CONSTRAINT requests_per_minute CHECK (requests <= requests_limit)
) STRICT, WITHOUT ROWID;

-- Counters for Prometheus: they only grow.
CREATE TABLE metrics (
  name TEXT NOT NULL,
  labels TEXT NOT NULL, -- as Prometheus writes them: status="stored"
  value REAL NOT NULL,
  PRIMARY KEY (name, labels)
) STRICT, WITHOUT ROWID;

-- Which events show an image, archived ones too, and which sources that were made without an event. Filled from the events in the
-- order of their ids, up to `cursors`.image_refs, before anything is removed.
CREATE TABLE image_refs (
  image TEXT NOT NULL,
  failure_id TEXT NOT NULL, -- of the event; of the source made of it too, which has the same id
  PRIMARY KEY (image, failure_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_refs_failure ON image_refs (failure_id);
CREATE TRIGGER sources_image_refs AFTER INSERT ON sources WHEN NEW.failure_id IS NULL BEGIN
  INSERT INTO image_refs (image, failure_id) SELECT value, NEW.id FROM json_each(NEW.images) WHERE true ON CONFLICT DO NOTHING;
END;
INSERT INTO image_refs (image, failure_id)
  SELECT value, sources.id FROM sources, json_each(sources.images) WHERE failure_id IS NULL ON CONFLICT DO NOTHING;
ALTER TABLE images ADD COLUMN wanted_at INTEGER NOT NULL DEFAULT 0; -- when a client last asked whether it is here

-- How far a job that works through a table in steps has come.
CREATE TABLE cursors (
  name TEXT PRIMARY KEY,
  position TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- Old events, as gzipped NDJSON in R2.
CREATE TABLE archives (
  blob TEXT PRIMARY KEY, -- its name in R2
  client_id TEXT NOT NULL REFERENCES clients (id),
  first_received_at INTEGER NOT NULL,
  last_received_at INTEGER NOT NULL,
  events INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX archives_client ON archives (client_id);
CREATE INDEX archives_age ON archives (last_received_at);

-- What has to be deleted on somebody's request, and how far that is.
CREATE TABLE erasures (
  id TEXT PRIMARY KEY,
  subject_kind TEXT NOT NULL CHECK (subject_kind IN ('client', 'image')),
  subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done')),
  position TEXT, -- the last archive looked at
  removed TEXT NOT NULL DEFAULT '{}', -- JSON: counts by kind
  requested_by TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;
CREATE INDEX erasures_running ON erasures (requested_at) WHERE state = 'running';

-- Blobs in R2 whose rows are gone. One that is done stays for a while: no row may be made from an upload that began before it.
CREATE TABLE removals (
  blob TEXT PRIMARY KEY,
  erasure_id TEXT REFERENCES erasures (id),
  begun_at INTEGER NOT NULL,
  done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX removals_age ON removals (done, begun_at);
CREATE INDEX removals_erasure ON removals (erasure_id, done) WHERE erasure_id IS NOT NULL;
