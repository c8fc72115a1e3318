//! The clock that deliveries go by, as a value, so that tests can turn it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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
