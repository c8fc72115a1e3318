-- When a place that takes one message every so often takes the next: all processes of a host take turns there.
CREATE TABLE turns (
    place    TEXT NOT NULL PRIMARY KEY, -- the format, and the address or what holds it
    free_ms  INTEGER NOT NULL,
    noted_ms INTEGER NOT NULL           -- by the clock of then
) STRICT, WITHOUT ROWID;
