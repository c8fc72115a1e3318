-- Where alerts go beside the webhook. `outbox` has the columns as well, so that one statement fits both tables; its rows
-- are those of the webhook, and nothing else, as processes of the version before send whatever is in it.
ALTER TABLE outbox ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN event TEXT NOT NULL DEFAULT 'alert';
ALTER TABLE outbox ADD COLUMN format TEXT NOT NULL DEFAULT 'standard';
ALTER TABLE outbox ADD COLUMN secret TEXT; -- the variable that holds the URL or key; never what it holds

CREATE TABLE notices (
    alert_id         TEXT NOT NULL REFERENCES alerts (alert_id) ON DELETE CASCADE,
    target           TEXT NOT NULL,
    event            TEXT NOT NULL CHECK (event IN ('alert', 'resolved')),
    state            TEXT NOT NULL CHECK (state IN ('held', 'pending', 'delivered', 'gave_up', 'cancelled')),
    format           TEXT NOT NULL,
    url              TEXT, -- none where it is the secret
    secret           TEXT,
    detail           TEXT NOT NULL CHECK (detail IN ('seed', 'full')),
    allow            TEXT NOT NULL, -- JSON: list of addresses, subnets and host names
    timeout_ms       INTEGER NOT NULL,
    body             TEXT NOT NULL, -- JSON: what is told, from which each attempt makes the same request
    due_ms           INTEGER NOT NULL,
    claimed_until_ms INTEGER,
    attempts         INTEGER NOT NULL DEFAULT 0,
    last_status      INTEGER,
    last_error       TEXT,
    created_ms       INTEGER NOT NULL,
    settled_ms       INTEGER,
    PRIMARY KEY (alert_id, target, event)
) STRICT;

CREATE INDEX notices_due ON notices (due_ms) WHERE state IN ('held', 'pending');

-- Every attempt to tell somebody of an alert.
CREATE TABLE attempts (
    attempt_id INTEGER NOT NULL PRIMARY KEY,
    alert_id   TEXT NOT NULL REFERENCES alerts (alert_id) ON DELETE CASCADE,
    target     TEXT NOT NULL,
    event      TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    status     INTEGER,
    error      TEXT
) STRICT;

CREATE INDEX attempts_by_alert ON attempts (alert_id);

-- What a person said of an alert.
CREATE TABLE verdicts (
    alert_id   TEXT NOT NULL PRIMARY KEY REFERENCES alerts (alert_id) ON DELETE CASCADE,
    verdict    TEXT NOT NULL CHECK (verdict IN ('right', 'wrong', 'late')),
    note       TEXT NOT NULL,
    said_by    TEXT NOT NULL,
    said_ms    INTEGER NOT NULL
) STRICT;

-- Who called, in one form, so that all of a caller's data can be found and erased. None where the room does not say, and
-- for what a version before this one wrote.
ALTER TABLE alerts ADD COLUMN caller TEXT;
ALTER TABLE sessions ADD COLUMN caller TEXT;
CREATE INDEX alerts_by_caller ON alerts (caller) WHERE caller IS NOT NULL;
CREATE INDEX sessions_by_caller ON sessions (caller) WHERE caller IS NOT NULL;
CREATE INDEX sessions_by_time ON sessions (started_ms);

-- What was said in a call, where it is kept: a recording, numbers masked.
CREATE TABLE transcripts (
    session_id TEXT NOT NULL,
    room_name  TEXT NOT NULL,
    recording  TEXT NOT NULL, -- JSON Lines
    kept_ms    INTEGER NOT NULL,
    PRIMARY KEY (room_name, session_id),
    FOREIGN KEY (room_name, session_id) REFERENCES sessions (room_name, session_id) ON DELETE CASCADE
) STRICT;

-- Who looks after an alert.
CREATE TABLE claims (
    alert_id   TEXT NOT NULL PRIMARY KEY REFERENCES alerts (alert_id) ON DELETE CASCADE,
    claimed_by TEXT NOT NULL,
    claimed_ms INTEGER NOT NULL
) STRICT;

-- Who read callers' words, and who changed what.
CREATE TABLE audit (
    audit_id INTEGER NOT NULL PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    who      TEXT NOT NULL,
    what     TEXT NOT NULL,
    alert_id TEXT REFERENCES alerts (alert_id) ON DELETE CASCADE
) STRICT;

CREATE INDEX audit_by_alert ON audit (alert_id);
CREATE INDEX audit_by_time ON audit (at_ms);
