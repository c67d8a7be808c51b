-- The scheduler: what it watches, what models may cost, the life of a pair, sentinels, and checks that are made again.

ALTER TABLE regions ADD COLUMN archived_at INTEGER; -- not planned for any more; a new failure brings it back
ALTER TABLE regions ADD COLUMN last_failed_at INTEGER;
UPDATE regions SET last_failed_at = unixepoch() * 1000 WHERE total_failures > 0; -- when it was is not known
ALTER TABLE regions ADD COLUMN cost_micros REAL NOT NULL DEFAULT 0; -- money per accepted pair, micro-units, EMA
ALTER TABLE regions ADD COLUMN gap_mean REAL NOT NULL DEFAULT 0; -- of scored pairs, nats, EMA
ALTER TABLE regions ADD COLUMN gap_square REAL NOT NULL DEFAULT 0; -- of the squares, EMA
ALTER TABLE regions ADD COLUMN stair_level INTEGER NOT NULL DEFAULT 2 CHECK (stair_level BETWEEN 1 AND 4); -- where the staircase stands
ALTER TABLE regions ADD COLUMN rate_watch TEXT NOT NULL DEFAULT '{}'; -- JSON, written by ticks: RateWatch of shared/hardness
ALTER TABLE regions ADD COLUMN round_watch TEXT NOT NULL DEFAULT '{}'; -- JSON, written by rounds: RoundWatch of shared/hardness

-- Pairs of the level that wait to be trained on for the first time, by what the right answer says; leased ones are among them.
ALTER TABLE region_levels ADD COLUMN waiting_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE region_levels ADD COLUMN waiting_yes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE region_levels ADD COLUMN waiting_no INTEGER NOT NULL DEFAULT 0;
-- Pairs of the level that were trained on and are not mastered, and mastered ones; leased ones are among them.
ALTER TABLE region_levels ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
ALTER TABLE region_levels ADD COLUMN saturated INTEGER NOT NULL DEFAULT 0;

ALTER TABLE region_reports ADD COLUMN tagged INTEGER NOT NULL DEFAULT 0; -- those of `counted` whose error type the client told; the others weigh half
ALTER TABLE region_reports ADD COLUMN exposures INTEGER NOT NULL DEFAULT 0; -- judged events of the client in the region since the last tick
UPDATE region_reports SET tagged = counted, exposures = counted;

ALTER TABLE ticks ADD COLUMN format INTEGER NOT NULL DEFAULT 1; -- of the inputs; a tick is replayed by code of its own format only

ALTER TABLE edit_jobs ADD COLUMN cost_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE edit_jobs ADD COLUMN woken_at INTEGER; -- by the sweep
DROP INDEX edit_jobs_queued;
CREATE INDEX edit_jobs_queued ON edit_jobs (coalesce(woken_at, created_at)) WHERE state = 'queued';

CREATE INDEX rounds_standing ON rounds (created_at) WHERE state IN ('claimed', 'completed');
ALTER TABLE rounds ADD COLUMN predicted TEXT NOT NULL DEFAULT '{}'; -- JSON: accuracy at levels 1 to 4 of the batch's regions, as predicted at the claim

ALTER TABLE pairs ADD COLUMN state_reason TEXT; -- why it is in its state, in a few words
ALTER TABLE pairs ADD COLUMN state_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairs ADD COLUMN home TEXT CHECK (home IN ('ready', 'trained', 'saturated', 'parked')); -- leased: the state it came from
ALTER TABLE pairs ADD COLUMN lease_use TEXT CHECK (lease_use IN ('train', 'score')); -- leased: what for
ALTER TABLE pairs ADD COLUMN sentinel INTEGER NOT NULL DEFAULT 0 CHECK (sentinel IN (0, 1)); -- its answers are known; parked for ever, never trained on
ALTER TABLE pairs ADD COLUMN gap REAL; -- of the newest scoring, nats
ALTER TABLE pairs ADD COLUMN gap_model TEXT; -- the adapter it was scored under; 'base'
ALTER TABLE pairs ADD COLUMN high_streak INTEGER NOT NULL DEFAULT 0; -- scorings in a row, under different models, above the policy's gap
ALTER TABLE pairs ADD COLUMN low_streak INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairs ADD COLUMN scored_at INTEGER;
ALTER TABLE pairs ADD COLUMN image TEXT; -- the first one shown
ALTER TABLE pairs ADD COLUMN template TEXT; -- how its question begins
ALTER TABLE pairs ADD COLUMN passes INTEGER NOT NULL DEFAULT 0; -- times that a batch with room left it out, since it was last leased
ALTER TABLE pairs ADD COLUMN span_from TEXT; -- the words of the right answer that were changed
ALTER TABLE pairs ADD COLUMN span_to TEXT; -- what stands there instead
UPDATE pairs SET state_at = created_at, home = CASE WHEN state = 'leased' THEN 'ready' END,
  lease_use = CASE WHEN state = 'leased' THEN 'train' END;
CREATE INDEX pairs_waiting ON pairs (region, level, polarity, passes, created_at, id) WHERE state = 'ready';
CREATE INDEX pairs_again ON pairs (region, level, trainings + passes, scored_at, id) WHERE state = 'trained';
CREATE INDEX pairs_saturated ON pairs (region, passes, scored_at, id) WHERE state = 'saturated';
CREATE INDEX pairs_sentinel ON pairs (scored_at, id) WHERE sentinel = 1;
CREATE INDEX pairs_state ON pairs (state, id) WHERE state NOT IN ('ready', 'leased');
CREATE INDEX pairs_region ON pairs (region, id);
CREATE INDEX pairs_age ON pairs (state_at) WHERE state = 'ready' AND trainings = 0;
DROP INDEX pairs_ready;
DROP INDEX pairs_ready_source;
-- A lease writes each pair once, and its place in two indexes, where the oldest pairs lie together. An index by id of the ready ones,
-- or of those that no round ever held, would be written all over.
DROP INDEX pairs_round;
CREATE INDEX pairs_round ON pairs (round_id, id) WHERE round_id IS NOT NULL;

-- Counts of regions and levels follow the pairs, whoever changes them.
CREATE TRIGGER pairs_counted_new AFTER INSERT ON pairs WHEN NEW.state = 'ready' AND NEW.trainings = 0 BEGIN
  UPDATE regions SET backlog = backlog + 1 WHERE key = NEW.region;
  UPDATE region_levels SET waiting_open = waiting_open + (NEW.polarity IS NULL),
    waiting_yes = waiting_yes + (NEW.polarity IS 'yes'), waiting_no = waiting_no + (NEW.polarity IS 'no')
  WHERE region = NEW.region AND level = NEW.level;
END;
CREATE TRIGGER pairs_counted_moved AFTER UPDATE OF state, home, trainings ON pairs
WHEN (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) IS NOT (CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END)
  OR (OLD.trainings = 0) <> (NEW.trainings = 0) BEGIN
  UPDATE regions SET backlog = backlog
    - (OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready')
    + (NEW.trainings = 0 AND (CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END) = 'ready')
  WHERE key = NEW.region;
  UPDATE region_levels SET
    waiting_open = waiting_open + (NEW.polarity IS NULL) * (
      (NEW.trainings = 0 AND (CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END) = 'ready')
      - (OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready')),
    waiting_yes = waiting_yes + (NEW.polarity IS 'yes') * (
      (NEW.trainings = 0 AND (CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END) = 'ready')
      - (OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready')),
    waiting_no = waiting_no + (NEW.polarity IS 'no') * (
      (NEW.trainings = 0 AND (CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END) = 'ready')
      - (OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready')),
    again = again
      + ((CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END) = 'trained')
      - ((CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'trained'),
    saturated = saturated
      + ((CASE WHEN NEW.state = 'leased' THEN NEW.home ELSE NEW.state END) = 'saturated')
      - ((CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'saturated')
  WHERE region = NEW.region AND level = NEW.level;
END;
CREATE TRIGGER pairs_counted_gone AFTER DELETE ON pairs BEGIN
  UPDATE regions SET backlog = backlog
    - (OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready')
  WHERE key = OLD.region;
  UPDATE region_levels SET
    waiting_open = waiting_open - (OLD.polarity IS NULL AND OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready'),
    waiting_yes = waiting_yes - (OLD.polarity IS 'yes' AND OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready'),
    waiting_no = waiting_no - (OLD.polarity IS 'no' AND OLD.trainings = 0 AND (CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'ready'),
    again = again - ((CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'trained'),
    saturated = saturated - ((CASE WHEN OLD.state = 'leased' THEN OLD.home ELSE OLD.state END) = 'saturated')
  WHERE region = OLD.region AND level = OLD.level;
END;
UPDATE regions SET backlog = (SELECT count(*) FROM pairs p WHERE p.region = regions.key AND p.trainings = 0 AND p.state IN ('ready', 'leased'));
UPDATE region_levels SET
  waiting_open = (SELECT count(*) FROM pairs p WHERE p.region = region_levels.region AND p.level = region_levels.level
    AND p.trainings = 0 AND p.state IN ('ready', 'leased') AND p.polarity IS NULL),
  waiting_yes = (SELECT count(*) FROM pairs p WHERE p.region = region_levels.region AND p.level = region_levels.level
    AND p.trainings = 0 AND p.state IN ('ready', 'leased') AND p.polarity = 'yes'),
  waiting_no = (SELECT count(*) FROM pairs p WHERE p.region = region_levels.region AND p.level = region_levels.level
    AND p.trainings = 0 AND p.state IN ('ready', 'leased') AND p.polarity = 'no'),
  again = (SELECT count(*) FROM pairs p WHERE p.region = region_levels.region AND p.level = region_levels.level AND p.state = 'trained');

-- A sentinel as a round scores it: as it is, and with its answers swapped. Scores are null until they are reported.
CREATE TABLE sentinel_scores (
  round_id TEXT NOT NULL REFERENCES rounds (id),
  pair_id TEXT NOT NULL REFERENCES pairs (id),
  swapped INTEGER NOT NULL CHECK (swapped IN (0, 1)),
  chosen_before REAL,
  rejected_before REAL,
  chosen_after REAL,
  rejected_after REAL,
  chosen_tokens INTEGER,
  rejected_tokens INTEGER,
  PRIMARY KEY (round_id, pair_id, swapped)
) STRICT, WITHOUT ROWID;
CREATE INDEX sentinel_scores_pair ON sentinel_scores (pair_id);

-- A doubted pair, asked about again. One row per doubt.
CREATE TABLE rechecks (
  id TEXT PRIMARY KEY,
  pair_id TEXT NOT NULL REFERENCES pairs (id),
  round_id TEXT REFERENCES rounds (id), -- whose scores raised the doubt; null: an operator did
  state TEXT NOT NULL CHECK (state IN ('queued', 'waiting', 'done')), -- waiting: for a person
  why TEXT NOT NULL,
  verdict TEXT CHECK (verdict IN ('valid', 'invalid')),
  judge TEXT, -- who decided: a model, or an actor
  reason TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;
CREATE INDEX rechecks_open ON rechecks (state, created_at) WHERE state <> 'done';
CREATE INDEX rechecks_pair ON rechecks (pair_id);
INSERT INTO rechecks (id, pair_id, round_id, state, why, created_at)
SELECT id, id, round_id, 'waiting', 'refused by the trainer', state_at FROM pairs WHERE state = 'quarantined';

-- What models used and cost on one day (UTC). A reservation is made before a call and settled after it.
CREATE TABLE spending (
  day INTEGER PRIMARY KEY, -- since the epoch
  tokens_reserved INTEGER NOT NULL DEFAULT 0 CHECK (tokens_reserved >= 0),
  tokens_spent INTEGER NOT NULL DEFAULT 0,
  micros_reserved INTEGER NOT NULL DEFAULT 0 CHECK (micros_reserved >= 0),
  micros_spent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE reservations (
  id TEXT PRIMARY KEY,
  day INTEGER NOT NULL REFERENCES spending (day),
  tokens INTEGER NOT NULL,
  micros INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX reservations_age ON reservations (created_at);
