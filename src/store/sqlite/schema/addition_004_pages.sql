-- What makes every page's query short in a store of a million calls.

-- How many calls began on each day (UTC, days since 1970), and how many of them escalated. Triggers keep it, so that processes
-- of the version before count as well.
CREATE TABLE days (
    day       INTEGER NOT NULL PRIMARY KEY,
    calls     INTEGER NOT NULL,
    escalated INTEGER NOT NULL
) STRICT;

INSERT INTO days (day, calls, escalated)
    SELECT started_ms / 86400000, count(*), sum(escalated) FROM sessions GROUP BY 1;

CREATE TRIGGER days_of_new_sessions AFTER INSERT ON sessions BEGIN
    INSERT INTO days (day, calls, escalated) VALUES (new.started_ms / 86400000, 1, new.escalated)
        ON CONFLICT DO UPDATE SET calls = calls + 1, escalated = escalated + excluded.escalated;
END;

CREATE TRIGGER days_of_changed_sessions AFTER UPDATE OF escalated ON sessions WHEN old.escalated <> new.escalated BEGIN
    UPDATE days SET escalated = escalated + new.escalated - old.escalated WHERE day = new.started_ms / 86400000;
END;

CREATE TRIGGER days_of_forgotten_sessions AFTER DELETE ON sessions BEGIN
    UPDATE days SET calls = calls - 1, escalated = escalated - old.escalated WHERE day = old.started_ms / 86400000;
END;

-- The days that a period begins and ends in are counted one by one.
CREATE INDEX sessions_by_start ON sessions (started_ms, escalated);
DROP INDEX sessions_by_time;

-- The list, with all that it is narrowed by and that has no index of its own below.
CREATE INDEX alerts_listed ON alerts (created_ms, alert_id, action, rule, severity);
DROP INDEX alerts_by_time;
CREATE INDEX alerts_by_room ON alerts (room_name, created_ms, alert_id);
-- A row that somebody spoilt has no outcome, and stops nobody who writes it anew.
CREATE INDEX alerts_by_outcome ON alerts (iif(json_valid(outcome), json_extract(outcome, '$.outcome'), NULL), created_ms, alert_id)
    WHERE outcome IS NOT NULL;

-- From what was said, and from what is not delivered, to the alert's time, without the alert itself.
CREATE INDEX alerts_timed ON alerts (alert_id, created_ms);
CREATE INDEX verdicts_by_time ON verdicts (said_ms, verdict, alert_id);
CREATE INDEX outbox_undelivered ON outbox (created_ms, alert_id) WHERE state IN ('pending', 'gave_up');
CREATE INDEX notices_undelivered ON notices (created_ms, alert_id) WHERE event = 'alert' AND state IN ('pending', 'gave_up');

-- How the call went, turn by turn, beside what was said in it: JSON.
ALTER TABLE transcripts ADD COLUMN course TEXT;
