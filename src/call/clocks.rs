//! Each recogniser's clock, which may begin anew.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::room::message::Transcript;

/// So far back, in ms, no piece comes late: its clock began anew.
const BACK_MS: u64 = 10_000;
/// A clock that begins anew begins at nought, or this near it, in ms.
const NEAR_NOUGHT_MS: u64 = 2_000;
/// So far back to nought, in ms, is no piece that comes late.
const BACK_TO_NOUGHT_MS: u64 = 4_000;

/// A piece of transcript as the book takes it.
pub(super) struct Seen {
    pub(super) piece: Transcript,
    /// What was added to its times, in ms.
    pub(super) shift: u64,
}

/// The clock of each participant's recogniser.
#[derive(Debug, Default)]
pub(super) struct Clocks(pub(super) HashMap<String, Clock>);

/// One recogniser's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The latest start, as the recogniser told it.
    latest: Option<u64>,
    /// What is to be added to its times, in ms.
    pub(super) shift: u64,
    /// How long after its end a piece arrives, in ms.
    lag: Option<u64>,
}

impl Clock {
    /// Whether a start shows that the clock began anew: it lies far back, or is nought once more and comes later than
    /// anything that was said then would.
    fn restarts_at(&self, start: u64, lag: u64) -> bool {
        self.latest.is_some_and(|latest| {
            let back = latest.saturating_sub(start);
            let late = lag.saturating_sub(self.lag.unwrap_or(lag));
            let nought = start < NEAR_NOUGHT_MS && start <= latest;
            back > BACK_MS || (nought && (back > BACK_TO_NOUGHT_MS || late > BACK_TO_NOUGHT_MS))
        })
    }

    /// Takes the times of something new; true when the clock began anew.
    pub(super) fn take(&mut self, now: Millis, start: u64, end: Option<u64>) -> bool {
        let end = end.unwrap_or(start);
        let lag = now.0.saturating_sub(end.saturating_add(self.shift));
        let restarts = self.restarts_at(start, lag);
        if restarts {
            // It is taken to have been said as long ago as what came before it had been when it came.
            self.shift = now.0.saturating_sub(self.lag.unwrap_or_default()).saturating_sub(end);
            self.latest = Some(start);
        } else if self.latest < Some(start) {
            self.latest = Some(start);
            self.lag = Some(lag);
        }
        restarts
    }
}
