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

    /// Says how far it has come, with a bar where the end is known, how many a second, and how long it will yet take.
    pub(super) fn far(&mut self, done: usize, of: Option<usize>, what: &str) {
        let since = self.since;
        self.tell(|| far(done, of, what, since.elapsed()));
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
fn far(done: usize, of: Option<usize>, what: &str, after: Duration) -> String {
    const BAR: usize = 20;
    let speed = done as f64 / after.as_secs_f64().max(0.001);
    let told = if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") };
    let Some(of) = of.filter(|of| *of > 0) else { return format!("{done} {what}, {told} a second") };
    let filled = (BAR * done / of).min(BAR);
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
    let mut line = format!("{bar} {done} of {of} {what}, {told} a second");
    if done > 0 {
        // Seconds, far below the cast's limit.
        let left = (of.saturating_sub(done) as f64 / speed).round() as u64;
        line.push_str(&format!(", {}:{:02} left", left / 60, left % 60));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_speed_and_time_left_where_the_end_is_known() {
        let second = Duration::from_secs(10);
        assert_eq!(far(40, None, "calls rated", second), "40 calls rated, 4.0 a second");
        assert_eq!(
            far(300, Some(1200), "calls rated", second),
            "█████░░░░░░░░░░░░░░░ 300 of 1200 calls rated, 30 a second, 0:30 left"
        );
        assert_eq!(far(0, Some(7), "calls", second), "░░░░░░░░░░░░░░░░░░░░ 0 of 7 calls, 0.0 a second");
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
