-- Step 1: keys, what owners used, the audit log.
CREATE TABLE auth_key (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  owner TEXT NOT NULL,
  scopes INTEGER NOT NULL,
  note TEXT NOT NULL DEFAULT '',
  jobs INTEGER NOT NULL DEFAULT 0,
  cpu_ms_per_day INTEGER NOT NULL DEFAULT 0,
  bytes_per_day INTEGER NOT NULL DEFAULT 0,
  rate_per_s INTEGER NOT NULL DEFAULT 0,
  rate_burst INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE auth_usage (
  day INTEGER NOT NULL,
  owner TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  cpu_ms INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (day, owner)
) WITHOUT ROWID;
CREATE TABLE auth_audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  owner TEXT NOT NULL,
  key_id TEXT NOT NULL,
  peer TEXT NOT NULL,
  request TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  outcome TEXT NOT NULL
);
CREATE INDEX auth_audit_owner ON auth_audit (owner, seq);
CREATE INDEX auth_audit_action ON auth_audit (action, seq);
