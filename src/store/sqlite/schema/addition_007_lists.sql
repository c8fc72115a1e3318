-- A verdict has the time of its alert beside it, which never changes, so that the alerts of which somebody said something are
-- counted and listed without looking them up. What a process of the version before writes has none; that is looked up.
ALTER TABLE verdicts ADD COLUMN alert_ms INTEGER;
UPDATE verdicts SET alert_ms = (SELECT created_ms FROM alerts WHERE alerts.alert_id = verdicts.alert_id);
CREATE INDEX verdicts_listed ON verdicts (verdict, alert_ms, alert_id);

-- The latest alerts of each kind: a kind that there is none of costs nothing.
CREATE INDEX alerts_by_kind ON alerts (action, rule, severity, created_ms, alert_id);

-- These have the kind as well, so that they answer a question of both. Their names stay, and what they begin with: processes of
-- the version before ask by them, and by verdicts_by_time.
DROP INDEX alerts_timed;
CREATE INDEX alerts_timed ON alerts (alert_id, created_ms, action, rule, severity);
DROP INDEX alerts_by_outcome;
CREATE INDEX alerts_by_outcome ON alerts (iif(json_valid(outcome), json_extract(outcome, '$.outcome'), NULL), created_ms, alert_id,
    action, rule, severity) WHERE outcome IS NOT NULL;

-- Whose words somebody read of a call that has no alert.
ALTER TABLE audit ADD COLUMN room_name TEXT;
ALTER TABLE audit ADD COLUMN session_id TEXT;

-- From when it may be the turn of what is due at a place where all take turns: what waits for its turn is not put off.
ALTER TABLE outbox ADD COLUMN turn_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN turn_ms INTEGER NOT NULL DEFAULT 0;

-- Places stand there by a hash from now on.
PRAGMA secure_delete = ON;
DELETE FROM turns;
PRAGMA secure_delete = OFF;
