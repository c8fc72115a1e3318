//! The CSeq numbers of dialogs that rooms handed over: the next transfer in one goes on behind the last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::inbox::DialogKey;

/// How long a number is remembered after its request: no call is longer.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The last number that each dialog has seen of us.
#[derive(Debug, Default)]
pub(super) struct Numbers(Mutex<HashMap<DialogKey, (u32, Instant)>>);

impl Numbers {
    /// The first number from `reserved` on that no request of ours has had.
    pub(super) fn unused(&self, dialog: &DialogKey, reserved: u32) -> u32 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(dialog).map_or(reserved, |(last, _)| reserved.max(last.saturating_add(1)))
    }

    /// A request with this number goes out.
    pub(super) fn used(&self, dialog: &DialogKey, number: u32) {
        let (mut known, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        known.retain(|_, (_, at)| now.duration_since(*at) < KEPT);
        let last = known.entry(dialog.clone()).or_insert((number, now));
        *last = (last.0.max(number), now);
    }
}
