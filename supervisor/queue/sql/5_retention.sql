-- Step 5: how long a result is kept, where its job asked for less than the node gives; 0: it did not.
ALTER TABLE job ADD COLUMN retention_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_sooner ON job (state, finished_ms + retention_ms) WHERE state >= 2 AND retention_ms > 0;
