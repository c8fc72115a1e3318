//! From the socket to the runtime, in order.

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::shared::Shared;
use crate::room::error::RoomEvent;
use crate::room::link::queue::Inbox;
use crate::room::link::sequence::Sequencer;
use crate::room::message::{CommandStatus, RoomMessage};

/// From the socket to the runtime: order, then the inbox, then the channel.
pub(super) struct Pump {
    pub(super) inbox: Inbox,
    /// `None` holds the place of a message that nobody needs.
    pub(super) sequencer: Sequencer<Option<RoomEvent>>,
    events: mpsc::Sender<RoomEvent>,
    /// Whether a missing message may still come.
    connected: bool,
    /// `session.ended` has been passed on.
    pub(super) ended: bool,
}

impl Pump {
    pub(super) fn new(inbox_limit: usize, events: mpsc::Sender<RoomEvent>) -> Self {
        Self { inbox: Inbox::new(inbox_limit), sequencer: Sequencer::default(), events, connected: false, ended: false }
    }

    /// Hands one event over, or gives up one gap in the sequence, whichever comes first. Cancel-safe.
    pub(super) async fn step(&mut self, shared: &Shared) {
        let due = self.sequencer.deadline().filter(|_| self.connected).map(Instant::from_std);
        let events = self.events.clone();
        if events.is_closed() {
            self.inbox.clear();
        }
        tokio::select! {
            permit = events.reserve(), if !self.inbox.is_empty() => match (permit, self.inbox.pop()) {
                (Ok(permit), Some(event)) => permit.send(event),
                _ => self.inbox.clear(),
            },
            () = wait_until(due) => {
                let now = Instant::now().into_std();
                self.released(shared, |sequencer, out| sequencer.expire(now, out));
            }
        }
    }

    pub(super) fn accept(&mut self, shared: &Shared, seq: Option<u64>, event: Option<RoomEvent>) {
        match (seq, event) {
            (Some(seq), event) => {
                let now = Instant::now().into_std();
                self.released(shared, |sequencer, out| sequencer.accept(now, seq, event, out));
            }
            (None, Some(event)) => self.pass_on(shared, event),
            (None, None) => {}
        }
    }

    /// There is a connection: what is missing may come from now on.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        self.sequencer.wait_anew(Instant::now().into_std());
    }

    pub(super) fn disconnected(&mut self) {
        self.connected = false;
    }

    pub(super) fn flush(&mut self, shared: &Shared) {
        self.released(shared, Sequencer::flush);
    }

    fn released(
        &mut self,
        shared: &Shared,
        work: impl FnOnce(&mut Sequencer<Option<RoomEvent>>, &mut Vec<(u64, Option<RoomEvent>)>),
    ) {
        let mut out = Vec::new();
        work(&mut self.sequencer, &mut out);
        if let Some(first) = self.sequencer.take_missing() {
            self.inbox.push(RoomEvent::HistoryMissing { first });
        }
        for event in out.into_iter().filter_map(|(_, event)| event) {
            self.pass_on(shared, event);
        }
        shared.lock().ledger.arrived(self.sequencer.ackable());
    }

    fn pass_on(&mut self, shared: &Shared, event: RoomEvent) {
        if let RoomEvent::Message(message) = &event {
            let mut state = shared.lock();
            if let Some(seq) = message.seq() {
                state.ledger.passed_on(seq);
            }
            match message {
                RoomMessage::CommandResult { command_id, status, .. } if *status != CommandStatus::Accepted => {
                    state.outbox.answered(command_id);
                }
                RoomMessage::SessionEnded { .. } => self.ended = true,
                _ => {}
            }
        }
        self.inbox.push(event);
    }

    pub(super) fn new_session(&mut self, shared: &Shared) {
        self.flush(shared);
        self.sequencer = Sequencer::default();
        shared.lock().ledger.new_session();
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
