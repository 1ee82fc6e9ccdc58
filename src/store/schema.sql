-- Schema 1. Rows are what commands and queries read; `event` is the journal they follow from.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE job (
  id        INTEGER PRIMARY KEY,
  name      TEXT    NOT NULL,
  number    INTEGER NOT NULL,
  state     TEXT    NOT NULL,
  over      INTEGER NOT NULL DEFAULT 0,
  paused    INTEGER NOT NULL DEFAULT 0,
  stopped   INTEGER NOT NULL DEFAULT 0,
  spec      TEXT    NOT NULL,
  key       TEXT,
  counts    TEXT    NOT NULL,
  cost      INTEGER NOT NULL DEFAULT 0,
  submitted INTEGER NOT NULL,
  updated   INTEGER NOT NULL
);
CREATE UNIQUE INDEX job_name ON job (name, number);
CREATE UNIQUE INDEX job_key ON job (key) WHERE key IS NOT NULL;
CREATE INDEX job_live ON job (id) WHERE over = 0;
-- What `airx status` adds up, so that it reads no definitions.
CREATE INDEX job_totals ON job (over, state, counts, cost);

CREATE TABLE task (
  job         INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  id          TEXT    NOT NULL,
  kind        INTEGER NOT NULL,
  state       TEXT    NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  spent_retry INTEGER NOT NULL DEFAULT 0,
  spent_infra INTEGER NOT NULL DEFAULT 0,
  outcome     TEXT,
  started     INTEGER,
  updated     INTEGER NOT NULL,
  elapsed     INTEGER,
  cost        INTEGER NOT NULL DEFAULT 0,
  progress    TEXT,
  result      TEXT,
  PRIMARY KEY (job, idx)
) WITHOUT ROWID;
CREATE UNIQUE INDEX task_id ON task (job, id);

-- Apart from `task`, so that a transition does not write a long prompt again.
CREATE TABLE definition (
  job    INTEGER NOT NULL,
  idx    INTEGER NOT NULL,
  spec   TEXT    NOT NULL,
  origin TEXT,
  PRIMARY KEY (job, idx)
) WITHOUT ROWID;

CREATE TABLE attempt (
  job     INTEGER NOT NULL,
  task    INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  pool    TEXT    NOT NULL,
  session TEXT,
  opened  INTEGER NOT NULL,
  started INTEGER,
  closed  INTEGER,
  outcome TEXT,
  facts   TEXT,
  PRIMARY KEY (job, task, number)
) WITHOUT ROWID;

CREATE TABLE event (
  seq  INTEGER PRIMARY KEY,
  at   INTEGER NOT NULL,
  job  INTEGER,
  task INTEGER,
  body TEXT    NOT NULL
);
CREATE INDEX event_job ON event (job, seq);
