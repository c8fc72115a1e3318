//! Places that take one message every so often: all processes of a host take turns there ([`Turn`]).

/// How long a claim may wait for its turn, in ms: whoever has it waits with it, so it is not for long.
const LONGEST_WAIT_MS: u64 = 3_000;
/// After so long nobody waits for a turn that was noted then any more, in ms.
pub(super) const FORGOTTEN_MS: u64 = 60_000;
/// A time that lies further ahead than this was noted before the clock was put back, in ms.
const CLOCK_SLACK_MS: u64 = 5_000;

/// When one may go to a place where all take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is taken, at this time; the next one comes a gap later.
    Taken(u64),
    /// So many are before it that it comes again at this time.
    Later(u64),
}

impl Turn {
    /// The next turn at a place that is free at the first of these times, as was noted at the second.
    pub(super) fn next(free: Option<(u64, u64)>, now_ms: u64) -> Self {
        let free = free.filter(|(_, noted_ms)| *noted_ms <= now_ms.saturating_add(CLOCK_SLACK_MS));
        match free.map_or(now_ms, |(free_ms, _)| free_ms.max(now_ms)) {
            at_ms if at_ms - now_ms <= LONGEST_WAIT_MS => Self::Taken(at_ms),
            at_ms => Self::Later(at_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_taken_where_it_is_soon_and_a_clock_that_was_put_back_keeps_nobody_waiting() {
        const NOW: u64 = 1_000_000;
        let hour = 3_600_000;
        for (free, turn) in [
            (None, Turn::Taken(NOW)),
            (Some((NOW - 1, NOW - 9)), Turn::Taken(NOW)),
            (Some((NOW + LONGEST_WAIT_MS, NOW)), Turn::Taken(NOW + LONGEST_WAIT_MS)),
            (Some((NOW + LONGEST_WAIT_MS + 1, NOW)), Turn::Later(NOW + LONGEST_WAIT_MS + 1)),
            // Another process's clock may be a little ahead.
            (Some((NOW + hour, NOW + CLOCK_SLACK_MS)), Turn::Later(NOW + hour)),
            (Some((NOW + hour, NOW + CLOCK_SLACK_MS + 1)), Turn::Taken(NOW)),
        ] {
            assert_eq!(Turn::next(free, NOW), turn, "{free:?}");
        }
    }
}
