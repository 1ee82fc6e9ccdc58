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

-- Priorities.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- How attempts since the last requeue ended, by class of outcomes: retries have budgets for some of them.
ALTER TABLE task ADD COLUMN spent TEXT;

-- Approvals: who answered; and the newest attempt that ended at its gate, whose output the next one may be told.
ALTER TABLE question ADD COLUMN answerer_name TEXT;
ALTER TABLE task ADD COLUMN gated INTEGER;
