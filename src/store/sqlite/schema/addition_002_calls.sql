-- Platforms use a session's id again for another call. A session whose call is over begins its next one when it is
-- attended again; an alert belongs to one of its session's calls.
ALTER TABLE sessions ADD COLUMN calls INTEGER NOT NULL DEFAULT 1;
ALTER TABLE sessions ADD COLUMN call_over INTEGER NOT NULL DEFAULT 0 CHECK (call_over IN (0, 1));
ALTER TABLE alerts ADD COLUMN call INTEGER NOT NULL DEFAULT 1;

-- When a row was last put off, by the clock of then: one that lies ahead tells that the clock was put back since.
ALTER TABLE outbox ADD COLUMN noted_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN noted_ms INTEGER NOT NULL DEFAULT 0;
