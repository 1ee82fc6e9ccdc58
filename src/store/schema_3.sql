-- Schema 3.

-- Schedules, and what became of their newest times.
CREATE TABLE schedule (
  name       TEXT PRIMARY KEY,
  rule       TEXT    NOT NULL,
  submission TEXT    NOT NULL,
  state      TEXT    NOT NULL,
  next       INTEGER,
  updated    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE firing (
  schedule TEXT    NOT NULL,
  seq      INTEGER NOT NULL,
  body     TEXT    NOT NULL,
  PRIMARY KEY (schedule, seq)
) WITHOUT ROWID;
