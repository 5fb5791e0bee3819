-- Step 2: leases in which nothing ran, and jobs that no node has the image of.
ALTER TABLE job ADD COLUMN unstarted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN lacked_ms INTEGER NOT NULL DEFAULT 0;
