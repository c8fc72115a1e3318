-- Times are Unix time in milliseconds. JSON columns hold the program's own serialisation.

CREATE TABLE sessions (
    session_id   TEXT NOT NULL,
    room_name    TEXT NOT NULL,
    started_ms   INTEGER NOT NULL,
    ended_ms     INTEGER,
    ended_reason TEXT,
    turns        INTEGER NOT NULL DEFAULT 0,
    escalated    INTEGER NOT NULL DEFAULT 0 CHECK (escalated IN (0, 1)),
    PRIMARY KEY (room_name, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE alerts (
    alert_id   TEXT NOT NULL PRIMARY KEY,
    room_name  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    turn       INTEGER NOT NULL,
    rule       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    action     TEXT NOT NULL,
    sentiment  REAL NOT NULL,
    shadow     INTEGER NOT NULL CHECK (shadow IN (0, 1)),
    outcome    TEXT,          -- JSON; none until a transfer is over
    record     TEXT NOT NULL, -- JSON: the whole alert
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX alerts_by_session ON alerts (room_name, session_id);
CREATE INDEX alerts_by_time ON alerts (created_ms);

-- What people make of an alert: one review per alert.
CREATE TABLE flags (
    alert_id    TEXT NOT NULL PRIMARY KEY REFERENCES alerts (alert_id) ON DELETE CASCADE,
    review      TEXT NOT NULL DEFAULT 'open' CHECK (review IN ('open', 'confirmed', 'dismissed')),
    note        TEXT NOT NULL DEFAULT '',
    flagged_ms  INTEGER NOT NULL,
    reviewed_ms INTEGER
) STRICT;

CREATE INDEX flags_open ON flags (flagged_ms) WHERE review = 'open';

-- Webhooks to send. A row holds all that sending needs, except for secrets, which are never stored.
-- held: due at due_ms unless released or cancelled before; never attempted.
-- pending: due at due_ms; a process that attempts it holds a claim until claimed_until_ms.
CREATE TABLE outbox (
    alert_id         TEXT NOT NULL PRIMARY KEY REFERENCES alerts (alert_id) ON DELETE CASCADE,
    state            TEXT NOT NULL CHECK (state IN ('held', 'pending', 'delivered', 'gave_up', 'cancelled')),
    url              TEXT NOT NULL,
    detail           TEXT NOT NULL CHECK (detail IN ('seed', 'full')),
    allow            TEXT NOT NULL, -- JSON: list of addresses, subnets and host names
    timeout_ms       INTEGER NOT NULL,
    body             TEXT NOT NULL,
    due_ms           INTEGER NOT NULL,
    claimed_until_ms INTEGER,
    attempts         INTEGER NOT NULL DEFAULT 0, -- counted when an attempt is claimed, so it also tells claims apart
    last_status      INTEGER,
    last_error       TEXT,
    created_ms       INTEGER NOT NULL,
    settled_ms       INTEGER -- when it was delivered, given up or cancelled
) STRICT;

CREATE INDEX outbox_due ON outbox (due_ms) WHERE state IN ('held', 'pending');

PRAGMA application_id = 0x53534344;
PRAGMA user_version = 1;
