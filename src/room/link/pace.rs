//! When to ping and when to dial again: [`Heartbeat`] and [`Backoff`]. Both pure: no clock, no randomness inside.

use std::time::Duration;

/// Delays between attempts: exponential with full jitter, so that thousands of sidecars do not dial at once after a
/// platform's restart.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// From 0.25 s up to 15 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(15))
    }
}

impl Backoff {
    /// A connection that lasted so long was a good one: the next delay is short again.
    pub const STABLE: Duration = Duration::from_secs(60);

    /// Delays up to `base`, then up to twice that, and so on up to `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// How long to wait before the next attempt. `random` is a number from 0 to 1; others count as the nearest.
    pub fn delay(&mut self, random: f64) -> Duration {
        let limit = self.base.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(self.cap);
        // 2^16 times any sensible base lies beyond any sensible cap; staying there keeps the shift in range.
        self.failures = self.failures.saturating_add(1).min(16);
        let share = if random.is_nan() { 1.0 } else { random.clamp(0.0, 1.0) };
        limit.mul_f64(share)
    }

    /// A connection ended after it had lasted for `lasted`.
    pub fn connection_ended(&mut self, lasted: Duration) {
        if lasted >= Self::STABLE {
            self.failures = 0;
        }
    }
}

/// What to do when the heart beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Send a ping.
    Ping,
    /// So many pings went unanswered: the connection is dead.
    Dead {
        /// How many.
        missed: u32,
    },
}

/// Finds out whether the other side is still there. Anything that it sends is a sign of life.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    allowed: u32,
    unanswered: u32,
}

impl Heartbeat {
    /// Dead after `allowed` unanswered pings (at least one).
    #[must_use]
    pub fn new(allowed: u32) -> Self {
        Self { allowed: allowed.max(1), unanswered: 0 }
    }

    /// Another interval has passed. `listening` is false while we do not read: then silence means nothing.
    pub fn beat(&mut self, listening: bool) -> Beat {
        if !listening {
            self.unanswered = 0;
        }
        if self.unanswered >= self.allowed {
            return Beat::Dead { missed: self.unanswered };
        }
        self.unanswered += 1;
        Beat::Ping
    }

    /// Something arrived.
    pub fn heard(&mut self) {
        self.unanswered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_jitter_takes_any_part_of_them() {
        let mut backoff = Backoff::default();
        let full: Vec<u128> = (0..9).map(|_| backoff.delay(1.0).as_millis()).collect();
        assert_eq!(full, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
        assert_eq!(Backoff::default().delay(0.0), Duration::ZERO);
        assert_eq!(Backoff::default().delay(0.5), Duration::from_millis(125));
        for _ in 0..100 {
            assert_eq!(backoff.delay(7.0), Duration::from_secs(15));
        }
    }

    #[test]
    fn only_a_stable_minute_resets_the_delays() {
        let mut backoff = Backoff::default();
        backoff.delay(1.0);
        backoff.connection_ended(Duration::from_secs(59));
        assert_eq!(backoff.delay(1.0).as_millis(), 500);
        backoff.connection_ended(Duration::from_secs(60));
        assert_eq!(backoff.delay(1.0).as_millis(), 250);
    }

    #[test]
    fn a_connection_is_dead_after_two_unanswered_pings() {
        let mut heart = Heartbeat::new(2);
        assert_eq!(heart.beat(true), Beat::Ping);
        heart.heard();
        assert_eq!(heart.beat(true), Beat::Ping);
        assert_eq!(heart.beat(true), Beat::Ping);
        assert_eq!(heart.beat(true), Beat::Dead { missed: 2 });
    }

    #[test]
    fn silence_means_nothing_while_nobody_listens() {
        let mut heart = Heartbeat::new(1);
        for _ in 0..10 {
            assert_eq!(heart.beat(false), Beat::Ping);
        }
    }
}
