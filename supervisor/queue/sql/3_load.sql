-- Step 3: what owners hold, and whose turn it is. load follows each change of a row by one statement. Taking one is a
-- service as well.
DROP TABLE turn;
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (owner, priority DESC, seq) WHERE state = 0 AND is_ready = 1;
CREATE INDEX job_oldest ON job (seq) WHERE state = 0 AND is_ready = 1;
CREATE TABLE load (
  owner TEXT NOT NULL PRIMARY KEY,
  waiting INTEGER NOT NULL,
  ready INTEGER NOT NULL,
  delayed INTEGER NOT NULL,
  leased INTEGER NOT NULL,
  served INTEGER NOT NULL,
  since INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX load_turn ON load (leased, served, since) WHERE ready > 0;
CREATE INDEX load_served ON load (served);
CREATE TABLE load_all (delayed INTEGER NOT NULL);
INSERT INTO load SELECT owner, sum(state = 0), sum(state = 0 AND is_ready = 1),
  sum(state = 0 AND is_ready = 0 AND attempt = 0), sum(state = 1), 0, min(seq) FROM job
  WHERE state <= 1 GROUP BY owner;
INSERT INTO load_all SELECT coalesce(sum(delayed), 0) FROM load;
CREATE TRIGGER load_comes AFTER INSERT ON job WHEN new.state <= 1 BEGIN
  INSERT INTO load
    VALUES (new.owner, (new.state = 0), (new.state = 0 AND new.is_ready = 1),
      (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0), (new.state = 1),
      (coalesce((SELECT max(served) FROM load), 0) - 1) | 1, new.seq)
    ON CONFLICT (owner) DO UPDATE SET waiting = waiting + excluded.waiting, ready = ready + excluded.ready,
    delayed = delayed + excluded.delayed, leased = leased + excluded.leased;
END;
CREATE TRIGGER load_again AFTER UPDATE OF state ON job WHEN old.state > 1 AND new.state <= 1 BEGIN
  INSERT INTO load
    VALUES (new.owner, (new.state = 0), (new.state = 0 AND new.is_ready = 1),
      (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0), (new.state = 1),
      (coalesce((SELECT max(served) FROM load), 0) - 1) | 1, new.seq)
    ON CONFLICT (owner) DO UPDATE SET waiting = waiting + excluded.waiting, ready = ready + excluded.ready,
    delayed = delayed + excluded.delayed, leased = leased + excluded.leased;
END;
CREATE TRIGGER load_taken AFTER UPDATE OF state ON job WHEN old.state = 0 AND new.state = 1 BEGIN
  UPDATE load SET waiting = waiting - (old.state = 0) + (new.state = 0),
    ready = ready - (old.state = 0 AND old.is_ready = 1) + (new.state = 0 AND new.is_ready = 1),
    delayed = delayed - (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0)
      + (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0),
    leased = leased - (old.state = 1) + (new.state = 1), served = ((SELECT max(served) FROM load) + 2) & ~1
    WHERE owner = old.owner;
END;
CREATE TRIGGER load_moves AFTER UPDATE OF state, is_ready ON job WHEN new.state = 0 AND old.state <= 1
  AND (old.state <> 0 OR old.is_ready <> new.is_ready) BEGIN
  UPDATE load SET waiting = waiting - (old.state = 0) + (new.state = 0),
    ready = ready - (old.state = 0 AND old.is_ready = 1) + (new.state = 0 AND new.is_ready = 1),
    delayed = delayed - (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0)
      + (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0),
    leased = leased - (old.state = 1) + (new.state = 1) WHERE owner = old.owner;
END;
CREATE TRIGGER load_ends AFTER UPDATE OF state ON job WHEN old.state <= 1 AND new.state > 1 BEGIN
  UPDATE load SET waiting = waiting - (old.state = 0), ready = ready - (old.state = 0 AND old.is_ready = 1),
    delayed = delayed - (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0),
    leased = leased - (old.state = 1) WHERE owner = old.owner;
  DELETE FROM load WHERE owner = old.owner AND waiting + leased = 0;
END;
CREATE TRIGGER load_goes AFTER DELETE ON job WHEN old.state <= 1 BEGIN
  UPDATE load SET waiting = waiting - (old.state = 0), ready = ready - (old.state = 0 AND old.is_ready = 1),
    delayed = delayed - (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0),
    leased = leased - (old.state = 1) WHERE owner = old.owner;
  DELETE FROM load WHERE owner = old.owner AND waiting + leased = 0;
END;
CREATE TRIGGER delay_comes AFTER INSERT ON job WHEN (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0) BEGIN
  UPDATE load_all SET delayed = delayed + 1;
END;
CREATE TRIGGER delay_begins AFTER UPDATE OF state,
  is_ready ON job WHEN (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0)
  AND NOT (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0) BEGIN
  UPDATE load_all SET delayed = delayed + 1;
END;
CREATE TRIGGER delay_ends AFTER UPDATE OF state,
  is_ready ON job WHEN (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0)
  AND NOT (new.state = 0 AND new.is_ready = 0 AND new.attempt = 0) BEGIN
  UPDATE load_all SET delayed = delayed - 1;
END;
CREATE TRIGGER delay_goes AFTER DELETE ON job WHEN (old.state = 0 AND old.is_ready = 0 AND old.attempt = 0) BEGIN
  UPDATE load_all SET delayed = delayed - 1;
END;
