-- Step 4: the bytes of what has ended.
ALTER TABLE job ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE load_all ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE job SET bytes = (SELECT length(json) FROM spec WHERE spec.seq = job.seq)
  + coalesce((SELECT length(json) + length(journal) FROM result WHERE result.seq = job.seq), 0)
  WHERE state >= 2;
UPDATE load_all SET bytes = (SELECT coalesce(sum(bytes), 0) FROM job);
CREATE TABLE kept (owner TEXT NOT NULL PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX kept_most ON kept (bytes);
INSERT INTO kept SELECT owner, sum(bytes) FROM job WHERE state >= 2 GROUP BY owner;
CREATE TRIGGER kept_result AFTER INSERT ON result BEGIN
  UPDATE job SET bytes = length(new.json) + length(new.journal) + (SELECT length(json) FROM spec WHERE seq = new.seq)
    WHERE seq = new.seq;
END;
CREATE TRIGGER kept_dead AFTER UPDATE OF state ON job WHEN new.state = 3 AND old.state <> 3 BEGIN
  UPDATE job SET bytes = (SELECT length(json) FROM spec WHERE seq = new.seq) WHERE seq = new.seq;
END;
CREATE TRIGGER kept_replay AFTER UPDATE OF state ON job WHEN old.state >= 2 AND new.state <= 1 BEGIN
  UPDATE job SET bytes = 0 WHERE seq = new.seq;
END;
CREATE TRIGGER kept_moves AFTER UPDATE OF bytes ON job WHEN old.bytes <> new.bytes BEGIN
  UPDATE load_all SET bytes = bytes + new.bytes - old.bytes;
  INSERT INTO kept VALUES (new.owner, new.bytes - old.bytes) ON CONFLICT (owner)
    DO UPDATE SET bytes = bytes + excluded.bytes;
  DELETE FROM kept WHERE owner = new.owner AND bytes <= 0;
END;
CREATE TRIGGER kept_goes AFTER DELETE ON job WHEN old.bytes > 0 BEGIN
  UPDATE load_all SET bytes = bytes - old.bytes;
  UPDATE kept SET bytes = bytes - old.bytes WHERE owner = old.owner;
  DELETE FROM kept WHERE owner = old.owner AND bytes <= 0;
END;
