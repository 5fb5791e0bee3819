-- Step 1: jobs, their requests and results. See schema.c for what the columns mean.
CREATE TABLE job (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  key TEXT NOT NULL DEFAULT '',
  fingerprint TEXT NOT NULL DEFAULT '',
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
  is_ready INTEGER NOT NULL DEFAULT 0,
  is_ending INTEGER NOT NULL DEFAULT 0,
  priority INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  queued_ms INTEGER NOT NULL,
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  lease_ms INTEGER NOT NULL DEFAULT 0,
  finished_ms INTEGER NOT NULL DEFAULT 0,
  node TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX job_key ON job (owner, key) WHERE key <> '';
CREATE INDEX job_ready ON job (owner, priority, seq) WHERE state = 0 AND is_ready = 1;
CREATE INDEX job_delayed ON job (not_before_ms) WHERE state = 0 AND is_ready = 0;
CREATE INDEX job_leased ON job (owner) WHERE state = 1;
CREATE INDEX job_state ON job (state, seq);
CREATE INDEX job_owner ON job (owner, state, seq);
CREATE INDEX job_finished ON job (state, finished_ms) WHERE state >= 2;
CREATE TABLE spec ( seq INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE, json BLOB NOT NULL);
CREATE TABLE result ( seq INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE, json BLOB NOT NULL, journal BLOB NOT
  NULL);
CREATE TABLE turn (
  owner TEXT NOT NULL,
  priority INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (owner, priority)
) WITHOUT ROWID;
CREATE INDEX turn_order ON turn (priority DESC, seq);
