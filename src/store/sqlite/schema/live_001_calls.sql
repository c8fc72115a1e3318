-- Calls in progress, as the processes that attend them tell of them, for the board. They lie in a file of their own, as
-- every process opens it: SQLite reads all tables of a file before it does anything in it.

-- Who attends calls, and when they last said so.
CREATE TABLE hosts (
    host    TEXT NOT NULL PRIMARY KEY,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a call, written anew with its turns, gone when it is over.
CREATE TABLE calls (
    room_name  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    host       TEXT NOT NULL,
    caller     TEXT,          -- in the form of the store's sessions.caller
    call       TEXT NOT NULL, -- JSON: all that the board shows of it
    turns      TEXT,          -- JSON: the caller's last turns, where they are kept
    PRIMARY KEY (room_name, session_id)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x5353434C;
PRAGMA user_version = 1;
