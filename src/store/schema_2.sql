-- Schema 2. Questions to a person, credentials with their usage limits, and what Claude runs use.
CREATE TABLE question (
  id       INTEGER PRIMARY KEY,
  job      INTEGER NOT NULL,
  task     INTEGER NOT NULL,
  attempt  INTEGER NOT NULL,
  body     TEXT    NOT NULL,
  asked    INTEGER NOT NULL,
  expires  INTEGER,
  settled  INTEGER,
  answer   TEXT,
  answerer TEXT
);
CREATE INDEX question_task ON question (job, task, attempt);
CREATE INDEX question_open ON question (id) WHERE settled IS NULL;

CREATE TABLE credential (
  name  TEXT PRIMARY KEY,
  state TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE job ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN rules TEXT;
ALTER TABLE job ADD COLUMN budget TEXT;
ALTER TABLE task ADD COLUMN used_cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN used_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN rounds TEXT;
ALTER TABLE attempt ADD COLUMN resumes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN seen TEXT;
CREATE INDEX attempt_spent ON attempt (closed, cost, tokens) WHERE tokens > 0 OR cost > 0;
-- Claude runs that may be alive, of which there are few among all attempts of a large job.
CREATE INDEX attempt_open ON attempt (job, task, number) WHERE closed IS NULL AND session IS NOT NULL;
