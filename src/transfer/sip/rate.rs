//! How many messages are looked at each second: what is beyond costs nothing but its reading.

use std::time::Duration;

use tokio::time::Instant;

/// A count that begins anew each second.
#[derive(Debug, Default)]
pub(super) struct Rate {
    second: Option<(Instant, u32)>,
}

impl Rate {
    /// Counts one more, and says whether it is within `limit` for this second.
    pub(super) fn admits(&mut self, limit: u32, now: Instant) -> bool {
        let (since, count) = self.second.get_or_insert((now, 0));
        if now.duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_limit() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let admitted =
            |rate: &mut Rate, at: u64| (0..50).filter(|_| rate.admits(20, start + Duration::from_millis(at))).count();
        assert_eq!(admitted(&mut rate, 0), 20);
        assert_eq!(admitted(&mut rate, 999), 0);
        assert_eq!(admitted(&mut rate, 1000), 20);
        assert_eq!(admitted(&mut rate, 5000), 20);
    }
}
