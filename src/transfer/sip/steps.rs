//! Telling the steps of a transfer.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::alert::outcome::Progress;

/// Most steps of one transfer that a 1xx is behind: a peer may send those without end, and each would be an event of the
/// room.
const MAX_PROVISIONAL: u32 = 64;

/// Whom one transfer's steps are told to.
pub(super) struct Steps {
    listener: mpsc::Sender<Progress>,
    provisional: AtomicU32,
}

impl Steps {
    pub(super) fn new(listener: mpsc::Sender<Progress>) -> Self {
        Self { listener, provisional: AtomicU32::new(0) }
    }

    /// Tells a step as far as there is room for it; it never holds the transfer up.
    pub(super) fn tell(&self, told: Progress) {
        let is_provisional = told.sip_status.is_some_and(|status| status < 200);
        if is_provisional && self.provisional.fetch_add(1, Ordering::Relaxed) >= MAX_PROVISIONAL {
            return debug!(step = told.step, "one step too many to tell");
        }
        info!(step = told.step, sip_status = told.sip_status, "transfer");
        if self.listener.try_send(told).is_err() {
            debug!("nobody takes the transfer's progress");
        }
    }
}
