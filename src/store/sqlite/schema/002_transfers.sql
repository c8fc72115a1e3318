-- The transfers of the last hour, whatever came of them: all processes of a host share one cap. A row is written together
-- with its alert, and removed by a later one.
CREATE TABLE transfers (
    alert_id   TEXT NOT NULL PRIMARY KEY,
    started_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
