-- Schema 3. Priorities.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
