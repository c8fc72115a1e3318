//! What the handle and the task share: what waits to be said, and what may be acked.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::room::link::queue::Outbox;
use crate::room::link::sequence::Ledger;
use crate::room::message::SidecarMessage;

/// What the handle and the task share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: Notify,
    pub(super) closing: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) outbox: Outbox,
    pub(super) ledger: Ledger,
}

impl State {
    pub(super) fn has_output(&self) -> bool {
        self.outbox.has_next() || self.ledger.due().is_some()
    }

    /// The next message to write, and how long it has waited: ours first, for acks cost nothing when late.
    pub(super) fn next_output(&mut self) -> Option<(SidecarMessage, Duration)> {
        if let Some(next) = self.outbox.next(Instant::now().into_std()) {
            return Some(next);
        }
        let seq = self.ledger.due()?;
        self.ledger.acked(seq);
        Some((SidecarMessage::Ack { seq }, Duration::ZERO))
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state would be whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
