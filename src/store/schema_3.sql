-- Schema 3. Priorities.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- How attempts since the last requeue ended, by class of outcomes: retries have budgets for some of them.
ALTER TABLE task ADD COLUMN spent TEXT;

-- Parameters that a person changed since the submission, as a JSON object.
ALTER TABLE job ADD COLUMN params TEXT;
