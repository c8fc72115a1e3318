//! What of the outbox is due, to whom and when, as statements.

/// What a process is able to send: `?1` says whether it signs, `?2` lists its secrets.
macro_rules! within_reach {
    () => {
        "state IN ('held', 'pending') AND (format NOT IN ('standard', 'cloudevents') OR ?1) \
         AND (secret IS NULL OR secret IN (SELECT value FROM json_each(?2)))"
    };
}

/// That a call is over is told after what it alerted of, or never.
macro_rules! in_order {
    () => {
        "(event = 'alert' OR NOT EXISTS (SELECT 1 FROM notices AS told WHERE told.alert_id = notices.alert_id \
         AND told.target = notices.target AND told.event = 'alert' AND told.state IN ('held', 'pending')))"
    };
}

/// When a row is due, at the time that the place holder names. One that was put off at a time that lies ahead was put off before
/// the clock was put back, and waits no longer for it; what is held for an outcome does.
macro_rules! due_ms {
    ($now:literal) => {
        concat!("iif(state = 'pending' AND max(created_ms, noted_ms) > ", $now, " + 5000, 0, due_ms)")
    };
}

/// From when it may be a row's turn, likewise.
macro_rules! turn_ms {
    ($now:literal) => {
        concat!("iif(noted_ms > ", $now, " + 5000, 0, turn_ms)")
    };
}

/// That a row was due by the first of these times or, where nobody attempted it yet, by the second: what is tried again is not
/// due to whoever has come by the first.
macro_rules! is_due {
    ($by:literal, $now:literal) => {
        concat!("(", due_ms!($now), " <= ", $by, " OR (attempts = 0 AND ", due_ms!($now), " <= ", $now, "))")
    };
}

/// What was due by `?3` and nobody has at `?4`, when it may be its turn, maybe of one alert `?5` for one place `?6` only.
macro_rules! due {
    ($table:literal) => {
        concat!(
            "SELECT alert_id, target, event, format, url, secret, detail, allow, timeout_ms, body, attempts, \
             created_ms > ?4 + 5000 AS ahead, due_ms, turn_ms FROM ",
            $table,
            " WHERE ",
            within_reach!(),
            " AND ",
            is_due!("?3", "?4"),
            " AND ",
            turn_ms!("?4"),
            " <= ?4 AND ifnull(claimed_until_ms, 0) <= ?4 AND (?5 IS NULL OR (alert_id = ?5 AND target = ?6))"
        )
    };
}

/// At most `?7` of both tables, those that are overdue longest first.
pub(super) const DUE: &str = concat!(
    "SELECT alert_id, target, event, format, url, secret, detail, allow, timeout_ms, body, attempts, ahead FROM (",
    due!("outbox"),
    " UNION ALL ",
    due!("notices"),
    " AND ",
    in_order!(),
    ") ORDER BY due_ms, turn_ms LIMIT ?7"
);

/// When the next of both tables is, at `?3`.
pub(super) const NEXT_DUE: &str = concat!(
    "SELECT min(due) FROM (SELECT min(max(",
    due_ms!("?3"),
    ", ",
    turn_ms!("?3"),
    ", ifnull(claimed_until_ms, 0))) AS due FROM outbox WHERE ",
    within_reach!(),
    " UNION ALL SELECT min(max(",
    due_ms!("?3"),
    ", ",
    turn_ms!("?3"),
    ", ifnull(claimed_until_ms, 0))) FROM notices WHERE ",
    within_reach!(),
    " AND ",
    in_order!(),
    ")"
);

/// The next turn of what was due by `?4` and nobody has at `?3`. Only places beside the webhook are such that all take turns.
pub(super) const NEXT_TURN: &str = concat!(
    "SELECT min(turn_ms) FROM notices WHERE ",
    within_reach!(),
    " AND ",
    is_due!("?4", "?3"),
    " AND ",
    turn_ms!("?3"),
    " > ?3 AND ifnull(claimed_until_ms, 0) <= ?3 AND ",
    in_order!()
);
