//! How far long work has come, on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// One line on standard error that is written over and over, if that is a terminal and the work takes a while.
pub(super) struct Progress {
    since: Instant,
    last: Instant,
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// Work that is done sooner shows nothing.
    const PATIENCE: Duration = Duration::from_secs(2);
    const EVERY: Duration = Duration::from_millis(200);

    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { since: now, last: now, shown: false, terminal: std::io::stderr().is_terminal() }
    }

    /// Says how far it has come, if it is time to.
    pub(super) fn tell(&mut self, how_far: impl FnOnce() -> String) {
        if self.is_due(Instant::now()) {
            anstream::eprint!("\r\x1b[K{}", how_far());
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        if !self.terminal || now - self.since < Self::PATIENCE || now - self.last < Self::EVERY {
            return false;
        }
        (self.last, self.shown) = (now, true);
        true
    }

    /// Takes the line away, before anything else is printed.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_after_a_while_and_not_too_often_and_only_on_a_terminal() {
        let mut progress = Progress { terminal: true, ..Progress::new() };
        let at = |ms| progress.since + Duration::from_millis(ms);
        let times = [0, 1_999, 2_000, 2_100, 2_200, 2_399, 2_400].map(at);
        let due = times.map(|time| progress.is_due(time));
        assert_eq!(due, [false, false, true, false, true, false, true]);
        let mut elsewhere = Progress { terminal: false, ..Progress::new() };
        assert!(!elsewhere.is_due(elsewhere.since + Duration::from_secs(60)));
    }
}
