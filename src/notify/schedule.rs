//! When a webhook is tried again, or not: pure rules over what a receiver answered.

use std::time::Duration;

/// When the attempts are made, in ms after the first: 0, 1 s, 5 s, 30 s, 2 min, 10 min, 1 h, 4 h, 12 h, 24 h.
const STANDARD_MS: [u64; 10] =
    [0, 1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000];

/// The least that a receiver's `Retry-After` makes us wait, where the schedule's next step is not earlier.
const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// The HTTP status.
        status: u16,
        /// Its `Retry-After`, read by `crate::http`.
        retry_after: Option<Duration>,
    },
    /// It did not: no connection, no TLS, no answer in time, a broken one.
    Failed {
        /// What happened, without the URL.
        detail: String,
    },
    /// It may not be sent there.
    Refused {
        /// Why.
        detail: String,
    },
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered {
        /// The HTTP status.
        status: u16,
    },
    /// Try again.
    Retry {
        /// After so long.
        wait: Duration,
        /// Why.
        detail: String,
    },
    /// Do not try again.
    GiveUp {
        /// Why.
        detail: String,
    },
}

/// A number from 0 to 1 that spreads retries, so that many processes do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// The nearest jitter to any number; what is not a number is the middle.
    #[must_use]
    pub fn clamped(value: f64) -> Self {
        Self(if value.is_nan() { 0.5 } else { value.clamp(0.0, 1.0) })
    }

    /// A random one.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::f64())
    }
}

/// When attempts are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    offsets_ms: Vec<u64>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { offsets_ms: STANDARD_MS.to_vec() }
    }
}

impl Schedule {
    /// A schedule whose attempts lie so many ms after the first one. They are put in order; the first is made at once.
    #[must_use]
    pub fn new(mut offsets_ms: Vec<u64>) -> Self {
        offsets_ms.push(0);
        offsets_ms.sort_unstable();
        offsets_ms.dedup();
        Self { offsets_ms }
    }

    /// How many attempts are made at most.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.offsets_ms.len()).unwrap_or(u32::MAX)
    }

    /// From the first attempt to the last.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_millis(self.offsets_ms.last().copied().unwrap_or_default())
    }

    /// How long after the failed attempt `attempt` (from 1) the next one is made, spread by a fifth either way; none
    /// after the last.
    #[must_use]
    pub fn wait_after(&self, attempt: u32, jitter: Jitter) -> Option<Duration> {
        let next = usize::try_from(attempt).ok()?.max(1);
        let gap_ms = self.offsets_ms.get(next)?.saturating_sub(self.offsets_ms[next - 1]);
        Some(Duration::from_millis(gap_ms).mul_f64(0.8 + 0.4 * jitter.0))
    }

    /// What follows from how attempt `attempt` (from 1) went.
    ///
    /// Only 2xx is success. A redirect is a failure, as is everything else; 410 (Gone) and a refused address are
    /// final. 429 and 503 are tried again when the receiver says, from 1 s later to the schedule's next step: an alert that
    /// is put off any further is of no use.
    #[must_use]
    pub fn judge(&self, attempt: u32, answer: &Answer, jitter: Jitter) -> Verdict {
        let (detail, asked) = match answer {
            Answer::Status { status: status @ 200..=299, .. } => return Verdict::Delivered { status: *status },
            Answer::Status { status: 410, .. } => {
                return Verdict::GiveUp { detail: "the receiver answered 410: it wants no more".to_owned() };
            }
            Answer::Refused { detail } => return Verdict::GiveUp { detail: detail.clone() },
            Answer::Status { status: status @ 300..=399, .. } => {
                (format!("the receiver answered {status}; redirects are not followed"), None)
            }
            Answer::Status { status: status @ (429 | 503), retry_after } => {
                (format!("the receiver answered {status}"), *retry_after)
            }
            Answer::Status { status, .. } => (format!("the receiver answered {status}"), None),
            Answer::Failed { detail } => (detail.clone(), None),
        };
        let Some(scheduled) = self.wait_after(attempt, jitter) else {
            return Verdict::GiveUp { detail: format!("{detail}; it was the last attempt") };
        };
        let wait = asked.map_or(scheduled, |asked| {
            // Not earlier than asked, where there is the time, and up to a tenth later.
            asked
                .clamp(LEAST_RETRY_AFTER, LEAST_RETRY_AFTER.max(scheduled))
                .mul_f64(1.0 + 0.1 * jitter.0)
                .min(scheduled)
        });
        Verdict::Retry { wait, detail }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIDDLE: Jitter = Jitter(0.5);

    fn status(status: u16) -> Answer {
        Answer::Status { status, retry_after: None }
    }

    fn asking(status: u16, seconds: u64) -> Answer {
        Answer::Status { status, retry_after: Some(Duration::from_secs(seconds)) }
    }

    fn wait_s(verdict: &Verdict) -> u64 {
        match verdict {
            Verdict::Retry { wait, .. } => wait.as_secs(),
            other => panic!("{other:?} is no retry"),
        }
    }

    #[test]
    fn without_jitter_the_attempts_lie_where_they_are_promised() {
        let schedule = Schedule::default();
        let mut at = Duration::ZERO;
        let mut seen = vec![0];
        for attempt in 1..schedule.attempts() {
            at += schedule.wait_after(attempt, MIDDLE).unwrap_or_default();
            seen.push(at.as_secs());
        }
        assert_eq!(seen, [0, 1, 5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600, 24 * 3600]);
        assert_eq!(schedule.wait_after(10, MIDDLE), None);
    }

    #[test]
    fn only_2xx_is_success_and_410_is_final() {
        let judge = |answer| Schedule::default().judge(1, &answer, MIDDLE);
        for code in [200, 201, 202, 204, 299] {
            assert_eq!(judge(status(code)), Verdict::Delivered { status: code });
        }
        for code in [100, 199, 300, 301, 302, 307, 308, 304, 400, 401, 404, 408, 409, 429, 500, 502, 503, 599] {
            assert_eq!(wait_s(&judge(status(code))), 1, "{code}");
        }
        assert!(matches!(judge(status(410)), Verdict::GiveUp { .. }));
        assert!(matches!(judge(Answer::Refused { detail: String::new() }), Verdict::GiveUp { .. }));
        assert_eq!(wait_s(&judge(Answer::Failed { detail: String::new() })), 1);
    }

    #[test]
    fn retry_after_is_honoured_within_bounds_for_429_and_503_only() {
        // The next step is 90 s away.
        let judge = |answer| Schedule::default().judge(4, &answer, MIDDLE);
        assert_eq!(wait_s(&judge(asking(429, 40))), 42);
        assert_eq!(wait_s(&judge(asking(503, 40))), 42);
        assert_eq!(wait_s(&judge(asking(429, 0))), 1);
        assert_eq!(wait_s(&judge(asking(503, u64::MAX))), 90);
        assert_eq!(wait_s(&judge(asking(500, 40))), 90);
        let first = Schedule::default().judge(1, &asking(503, 24 * 3600), MIDDLE);
        assert_eq!(wait_s(&first), 1, "what is urgent is not put off by a day");
        let last = Schedule::default().judge(10, &asking(503, 17), MIDDLE);
        assert!(matches!(last, Verdict::GiveUp { .. }), "{last:?}");
    }

    proptest! {
        #[test]
        fn attempts_lie_in_order_and_the_whole_is_bounded(jitters in prop::collection::vec(0.0..=1.0f64, 9)) {
            let schedule = Schedule::default();
            let mut at = Duration::ZERO;
            let mut before = Duration::ZERO;
            for (attempt, jitter) in (1..).zip(&jitters) {
                let wait = schedule.wait_after(attempt, Jitter::clamped(*jitter)).unwrap_or_default();
                prop_assert!(wait >= before.mul_f64(0.999), "waits grow: {before:?} then {wait:?}");
                before = wait;
                at += wait;
            }
            let day = Duration::from_secs(24 * 3600);
            prop_assert!(at >= day.mul_f64(0.8) && at <= day.mul_f64(1.2));
        }

        #[test]
        fn whatever_the_answer_a_wait_is_bounded_and_the_last_attempt_ends_it(
            code in 100u16..1000, asked in prop::option::of(any::<u64>()), jitter in any::<f64>(), attempt in 0u32..30,
        ) {
            let answer = Answer::Status { status: code, retry_after: asked.map(Duration::from_secs) };
            let schedule = Schedule::default();
            match schedule.judge(attempt, &answer, Jitter::clamped(jitter)) {
                Verdict::Delivered { status } => prop_assert!(status == code && (200..300).contains(&code)),
                Verdict::Retry { wait, .. } => {
                    prop_assert!(attempt < schedule.attempts() && !(200..300).contains(&code) && code != 410);
                    let scheduled = schedule.wait_after(attempt, Jitter::clamped(jitter)).unwrap_or_default();
                    prop_assert!(wait >= Duration::from_millis(800) && wait <= scheduled);
                }
                Verdict::GiveUp { .. } => prop_assert!(code == 410 || attempt >= schedule.attempts()),
            }
        }
    }
}
