-- Calls in progress, as the processes that attend them tell of them, for the board. Both are written without waiting for the
-- disk: after a power cut nobody is on the line any more.

-- Who attends calls, and when they last said so.
CREATE TABLE live_hosts (
    host    TEXT NOT NULL PRIMARY KEY,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a call, written anew with each of its turns, gone when it is over.
CREATE TABLE live (
    room_name  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    host       TEXT NOT NULL,
    alert_id   TEXT,          -- its last alert
    caller     TEXT,          -- in the form of sessions.caller
    call       TEXT NOT NULL, -- JSON: all that the board shows of it
    PRIMARY KEY (room_name, session_id)
) STRICT;

CREATE INDEX live_by_host ON live (host);
CREATE INDEX live_by_caller ON live (caller) WHERE caller IS NOT NULL;
