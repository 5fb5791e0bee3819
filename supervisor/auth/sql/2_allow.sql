-- Step 2: keys with an end and an allow-list (JSON; empty: everything).
ALTER TABLE auth_key ADD COLUMN expires_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE auth_key ADD COLUMN allow TEXT NOT NULL DEFAULT '';
