//! Time: the clock that deliveries go by, as a value, so that tests can turn it, and a call's own time.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::UtcDateTime;

/// Tells Unix time in ms.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's Unix time in ms; 0 before 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The machine's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(unix_ms)
}

/// RFC 3339 of a moment in ms since 1970, in UTC; one that the calendar does not reach is taken for its end.
pub(crate) fn rfc3339(unix_ms: i64) -> String {
    let moment = UtcDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).unwrap_or(UtcDateTime::MAX);
    let (year, month, day) = (moment.year(), u8::from(moment.month()), moment.day());
    let (hour, minute, second, ms) = moment.as_hms_milli();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The same of a moment that is not before 1970.
pub(crate) fn rfc3339_of(unix_ms: u64) -> String {
    rfc3339(i64::try_from(unix_ms).unwrap_or(i64::MAX / 2))
}

/// Milliseconds since the sidecar attached to the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and `ms` more.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// How long things take, for tests on cores that others have as well.
#[cfg(test)]
pub(crate) mod measured {
    use std::time::{Duration, Instant};

    /// How often each is measured, at most. The quickest counts: whoever else had the core, one of them had it alone.
    const TRIES: usize = 8;

    fn took(what: &impl Fn()) -> Duration {
        let began = Instant::now();
        what();
        began.elapsed()
    }

    /// Whether something longer takes fewer than so many times as long.
    pub(crate) fn is_within(times: u32, short: impl Fn(), long: impl Fn()) -> Result<(), (Duration, Duration)> {
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..TRIES {
            best = (best.0.min(took(&short)), best.1.min(took(&long)));
            if best.1 < best.0 * times {
                return Ok(());
            }
        }
        Err(best)
    }
}
