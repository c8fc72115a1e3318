//! When an LLM that fails is left alone: pure, with the time and the jitter handed in.
//!
//! ```text
//! closed ──[FAILURES in a row, or Retry-After]──▶ open ──[its time is over]──▶ half-open: one probe
//!    ▲                                             ▲                                │
//!    └────────────────── healthy ──────────────────┼────────────────────────────────┤
//!                                                  └──── failed: twice as long ─────┘
//! ```

use std::time::Duration;

/// So many failures in a row open the breaker.
pub const FAILURES: u32 = 3;
/// How long it is open at first; each failed probe doubles it.
pub const FIRST_OPEN: Duration = Duration::from_secs(2);
/// The longest that it is open after failures.
pub const LONGEST_OPEN: Duration = Duration::from_secs(300);
/// The longest that `Retry-After` keeps it open; hardly any call outlasts it.
pub const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// How much jitter may lengthen the time that it is open, as a share of it.
const SPREAD: f64 = 0.2;

/// The breaker of one endpoint.
#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
    /// Counts the changes of state: what was let through before a change says nothing about the time after it.
    generation: u64,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration, opened: u32 },
    HalfOpen { opened: u32 },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Leave to ask once. It is handed back with what came of it.
#[derive(Debug)]
pub struct Ticket(u64);

/// What came of asking, as far as the breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The endpoint does its work, whether or not it answered what was wanted.
    Healthy,
    /// It does not.
    Failed,
    /// It wants to be left alone for so long.
    Overloaded {
        /// Its `Retry-After`.
        retry_after: Duration,
    },
    /// Nobody waited for the end.
    Abandoned,
}

impl Breaker {
    /// Lets a question through at `now` (the time since any fixed moment).
    ///
    /// # Errors
    /// How long the endpoint is still left alone; zero while the one probe is under way.
    pub fn admit(&mut self, now: Duration) -> Result<Ticket, Duration> {
        match self.state {
            State::Closed { .. } => Ok(Ticket(self.generation)),
            State::Open { until, opened } if until <= now => {
                self.change(State::HalfOpen { opened });
                Ok(Ticket(self.generation))
            }
            State::Open { until, .. } => Err(until - now),
            State::HalfOpen { .. } => Err(Duration::ZERO),
        }
    }

    /// Takes note of what came of a question at `now`. `jitter` from 0 to 1 spreads the probes of many processes.
    /// Returns how long the endpoint is left alone, if that begins here.
    pub fn settle(&mut self, ticket: &Ticket, health: Health, now: Duration, jitter: f64) -> Option<Duration> {
        if ticket.0 != self.generation {
            return None;
        }
        let opened = match self.state {
            State::Closed { .. } => 0,
            State::Open { opened, .. } | State::HalfOpen { opened } => opened,
        };
        match (health, &mut self.state) {
            (Health::Healthy, State::Closed { failures }) => *failures = 0,
            (Health::Healthy, _) => self.change(State::default()),
            (Health::Abandoned, State::HalfOpen { .. }) => self.change(State::Open { until: now, opened }),
            (Health::Abandoned, _) => {}
            (Health::Failed, State::Closed { failures }) if *failures + 1 < FAILURES => *failures += 1,
            (Health::Failed, _) => return Some(self.open(now, opened, Duration::ZERO, jitter)),
            (Health::Overloaded { retry_after }, _) => return Some(self.open(now, opened, retry_after, jitter)),
        }
        None
    }

    fn open(&mut self, now: Duration, opened: u32, at_least: Duration, jitter: f64) -> Duration {
        let doubled = FIRST_OPEN.saturating_mul(2_u32.saturating_pow(opened));
        let jitter = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) };
        let time = doubled.min(LONGEST_OPEN).max(at_least.min(LONGEST_ASKED)).mul_f64(1.0 + SPREAD * jitter);
        self.change(State::Open { until: now.saturating_add(time), opened: opened.saturating_add(1) });
        time
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn once(breaker: &mut Breaker, now: Duration, health: Health) -> Option<Duration> {
        let ticket = breaker.admit(now).unwrap();
        breaker.settle(&ticket, health, now, 0.0)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_probe_closes_it() {
        let mut breaker = Breaker::default();
        assert_eq!(once(&mut breaker, s(0), Health::Failed), None);
        assert_eq!(once(&mut breaker, s(0), Health::Failed), None);
        assert_eq!(once(&mut breaker, s(0), Health::Healthy), None);
        assert_eq!(once(&mut breaker, s(0), Health::Failed), None);
        assert_eq!(once(&mut breaker, s(0), Health::Failed), None);
        assert_eq!(once(&mut breaker, s(0), Health::Failed), Some(s(2)));
        assert_eq!(breaker.admit(s(1)).unwrap_err(), s(1));
        let probe = breaker.admit(s(2)).unwrap();
        assert_eq!(breaker.admit(s(2)).unwrap_err(), Duration::ZERO);
        assert_eq!(breaker.settle(&probe, Health::Healthy, s(3), 0.0), None);
        assert_eq!(once(&mut breaker, s(3), Health::Failed), None);
    }

    #[test]
    fn each_failed_probe_doubles_the_time_up_to_the_longest() {
        let mut breaker = Breaker::default();
        let mut now = s(0);
        let mut times = Vec::new();
        for _ in 0..FAILURES - 1 {
            once(&mut breaker, now, Health::Failed);
        }
        for _ in 0..10 {
            let time = once(&mut breaker, now, Health::Failed).unwrap();
            times.push(time.as_secs());
            now += time;
        }
        assert_eq!(times, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn retry_after_opens_it_at_once_and_is_not_cut_short() {
        let mut breaker = Breaker::default();
        let ticket = breaker.admit(s(0)).unwrap();
        let overloaded = Health::Overloaded { retry_after: s(20) };
        let time = breaker.settle(&ticket, overloaded, s(0), 1.0).unwrap();
        assert_eq!(time, s(24));
        assert!(breaker.admit(s(20)).is_err());
        assert!(breaker.admit(s(24)).is_ok());
        let mut breaker = Breaker::default();
        let forever = Health::Overloaded { retry_after: s(1_000_000) };
        assert_eq!(once(&mut breaker, s(0), forever), Some(LONGEST_ASKED));
    }

    #[test]
    fn an_abandoned_probe_makes_room_for_another() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            once(&mut breaker, s(0), Health::Failed);
        }
        let probe = breaker.admit(s(2)).unwrap();
        breaker.settle(&probe, Health::Abandoned, s(3), 0.0);
        assert!(breaker.admit(s(3)).is_ok());
    }

    #[test]
    fn what_was_asked_before_it_opened_changes_nothing_afterwards() {
        let mut breaker = Breaker::default();
        let early = breaker.admit(s(0)).unwrap();
        for _ in 0..FAILURES {
            once(&mut breaker, s(0), Health::Failed);
        }
        breaker.settle(&early, Health::Healthy, s(1), 0.0);
        assert!(breaker.admit(s(1)).is_err());
    }

    proptest! {
        #[test]
        fn while_it_is_open_nothing_passes_and_then_exactly_one(
            steps in prop::collection::vec((0_u64..40, 0_u8..4, 0_u64..60, 0.0..=1.0), 1..80),
        ) {
            let mut breaker = Breaker::default();
            let (mut now, mut shut_until, mut in_a_row) = (s(0), None, 0);
            for (wait, what, retry, jitter) in steps {
                now += s(wait);
                let admitted = breaker.admit(now);
                prop_assert_eq!(admitted.is_ok(), shut_until.is_none_or(|until| until <= now));
                let Ok(ticket) = admitted else { continue };
                if shut_until.is_some() {
                    prop_assert!(breaker.admit(now).is_err(), "two probes at a time");
                }
                let health = match what {
                    0 => Health::Healthy,
                    1 => Health::Overloaded { retry_after: s(retry) },
                    2 => Health::Abandoned,
                    _ => Health::Failed,
                };
                let opened = breaker.settle(&ticket, health, now, jitter);
                in_a_row = match health {
                    Health::Healthy => 0,
                    Health::Failed => in_a_row + 1,
                    _ => in_a_row,
                };
                match health {
                    Health::Healthy => { shut_until = None; prop_assert_eq!(opened, None) }
                    Health::Overloaded { retry_after } => prop_assert!(opened.unwrap() >= retry_after),
                    Health::Failed if in_a_row >= FAILURES || shut_until.is_some() => prop_assert!(opened.is_some()),
                    _ => prop_assert_eq!(opened, None),
                }
                if let Some(time) = opened {
                    prop_assert!(time >= FIRST_OPEN && time <= LONGEST_OPEN.mul_f64(1.0 + SPREAD));
                    (shut_until, in_a_row) = (Some(now + time), 0);
                }
            }
        }
    }
}
