-- Schema 3. Work that grows and decides.

-- Mapped tasks: the list of each, and of an instance the place of its mapped task and that of its item. An instance has the
-- definition of its mapped task.
CREATE TABLE mapping (
  job   INTEGER NOT NULL,
  idx   INTEGER NOT NULL,
  items TEXT    NOT NULL,
  PRIMARY KEY (job, idx)
) WITHOUT ROWID;
ALTER TABLE task ADD COLUMN mapping INTEGER;
ALTER TABLE task ADD COLUMN item INTEGER;
-- Only instances are in it; without it each new list would look at all tasks of its job.
CREATE INDEX task_instance ON task (job, mapping) WHERE mapping IS NOT NULL;

-- Priorities.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- How attempts since the last requeue ended, by class of outcomes: retries have budgets for some of them.
ALTER TABLE task ADD COLUMN spent TEXT;

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

-- Parameters that a person changed since the submission, as a JSON object.
ALTER TABLE job ADD COLUMN params TEXT;

-- Approvals: who answered; and the newest attempt that ended at its gate, whose output the next one may be told.
ALTER TABLE question ADD COLUMN answerer_name TEXT;
ALTER TABLE task ADD COLUMN gated INTEGER;

-- Sub-flows: of a child job the task that it does the work of, and of a task its newest child.
ALTER TABLE job ADD COLUMN parent INTEGER;
ALTER TABLE job ADD COLUMN parent_task INTEGER;
CREATE INDEX job_parent ON job (parent) WHERE parent IS NOT NULL;
ALTER TABLE task ADD COLUMN child INTEGER;
-- What the runs of all jobs below a job used.
ALTER TABLE job ADD COLUMN below_cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN below_tokens INTEGER NOT NULL DEFAULT 0;
