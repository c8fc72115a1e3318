//! Time: the clock that deliveries go by, as a value, so that tests can turn it, and a call's own time.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

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
