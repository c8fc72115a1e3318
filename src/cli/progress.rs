//! How far long work has come, on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::reading::Way;
use crate::replay::tune::recommend::plural;

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

    /// Says how many calls are done, and how far through the files the last of them lies: with a bar and the time that is
    /// left where the end is known, how many files, and how many calls a second.
    pub(super) fn far(&mut self, done: usize, way: Way, what: &str) {
        let since = self.since;
        self.tell(|| far(done, way, what, since.elapsed()));
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

/// How far work has come after a while.
fn far(done: usize, way: Way, what: &str, after: Duration) -> String {
    const BAR: usize = 10;
    let mut line = String::new();
    if let Some(share) = way.share {
        // A share of so few steps is far below the cast's limit.
        let filled = ((BAR as f64 * share) as usize).min(BAR);
        line = format!("{}{} ", "█".repeat(filled), "░".repeat(BAR - filled));
    }
    let speed = done as f64 / after.as_secs_f64().max(0.001);
    let speed = if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") };
    line.push_str(&format!("{} {what}, ", plural(done, "call")));
    if way.of > 1 {
        line.push_str(&format!("{} of {} files, ", way.files, way.of));
    }
    line.push_str(&format!("{speed} a second"));
    if let Some(share) = way.share.filter(|share| *share > 0.0) {
        // Seconds, far below the cast's limit.
        let left = (after.as_secs_f64() * (1.0 - share) / share).round().max(0.0) as u64;
        line.push_str(&format!(", {}:{:02} left", left / 60, left % 60));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_files_speed_and_time_left_where_the_end_is_known() {
        let second = Duration::from_secs(10);
        let way = |files, of, share| Way { files, of, share };
        assert_eq!(far(40, way(0, 1, None), "rated", second), "40 calls rated, 4.0 a second");
        assert_eq!(
            far(300, way(30, 120, Some(0.25)), "rated", second),
            "██░░░░░░░░ 300 calls rated, 30 of 120 files, 30 a second, 0:30 left"
        );
        assert_eq!(far(1, way(0, 1, Some(0.0)), "rated", second), "░░░░░░░░░░ 1 call rated, 0.1 a second");
        let widest = far(12_345, way(1_234, 12_345, Some(0.1)), "compared", Duration::from_secs(100));
        assert!(widest.chars().count() < 80, "one line: {widest}");
    }

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
