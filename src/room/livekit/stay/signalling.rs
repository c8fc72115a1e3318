//! Signalling of a stay: it may be away and come back, and what comes by it keeps the connections.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::{End, Stay, lost};
use crate::room::error::RoomError;
use crate::room::link::pace::Backoff;
use crate::room::livekit::door::Knock;
use crate::room::livekit::line::{Line, Said};
use crate::room::livekit::proto::models::{DisconnectReason, Room};
use crate::room::livekit::proto::signal::leave_request::Action;
use crate::room::livekit::proto::signal::{LeaveRequest, Ping, SyncState, signal_request, signal_response};
use crate::room::livekit::seen::Seen;

/// Signalling that has been away for so long does not come back: the room is joined anew.
const RESUME_FOR: Duration = Duration::from_secs(90);

impl Stay {
    pub(super) async fn said(&mut self, said: Said) -> Result<(), End> {
        self.heard_at = Instant::now();
        match said {
            Said::Message(message) => return self.message(message).await,
            // Without data there is nothing to go on with, and what a server closes it does not resume.
            Said::Lost(error) if !self.open || self.dead.is_some() || self.resumed_in_vain(&error) => {
                return Err(End::Lost(error));
            }
            Said::Lost(error) => self.hung_up(&error),
            Said::Dialled(signal) => {
                let moved = signal.local_ip() != self.local_ip;
                self.local_ip = signal.local_ip();
                self.silent |= moved;
                self.line = Line::Up(signal);
            }
            Said::NotDialled(error) => {
                let away = self.down_since.map_or(Duration::ZERO, |since| since.elapsed());
                if error.is_final() || away > RESUME_FOR {
                    return Err(lost(format!("it cannot be resumed: {error}")));
                }
                self.resume();
            }
        }
        Ok(())
    }

    /// Whether the server closed the connection on which we wanted to resume.
    fn resumed_in_vain(&self, error: &RoomError) -> bool {
        self.down_since.is_some() && matches!(error, RoomError::Closed { .. })
    }

    /// Signalling is gone; data flows on.
    fn hung_up(&mut self, error: &RoomError) {
        tracing::info!(%error, "signalling with the room broke; resuming");
        self.down_since.get_or_insert_with(Instant::now);
        self.resume();
    }

    fn resume(&mut self) {
        let sid = self.sid.clone();
        let knock = if self.peers.is_single() {
            Knock::ResumeSingle { sid, state: Box::new(self.state()) }
        } else {
            Knock::ResumeDual { sid }
        };
        self.line = Line::resuming(self.door.clone(), knock, self.backoff.delay(fastrand::f64()));
    }

    async fn resumed(&mut self) -> Result<(), End> {
        tracing::info!("signalling with the room is back");
        self.down_since = None;
        self.backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        if !self.peers.is_single() {
            // The server offers what we hear on again by itself.
            let state = self.state();
            self.say(signal_request::Message::SyncState(state)).await;
        }
        if self.silent || !self.peers.is_single() { self.offer_again().await } else { Ok(()) }
    }

    fn state(&mut self) -> SyncState {
        let mut state = self.peers.state();
        state.datachannel_receive_states = self.received.states();
        state
    }

    async fn message(&mut self, message: signal_response::Message) -> Result<(), End> {
        use signal_response::Message;
        match message {
            Message::Answer(answer) => self.peers.answered(answer)?,
            Message::Offer(offer) => {
                let answer = self.peers.offered(offer)?;
                self.say(signal_request::Message::Answer(answer)).await;
            }
            Message::Trickle(trickle) => self.peers.candidate(&trickle),
            Message::Update(update) => self.sights.news(Seen::Participants(update.participants)),
            Message::RoomUpdate(update) => self.room(update.room),
            Message::RoomMoved(moved) => {
                self.door.refresh(moved.token);
                self.room(moved.room);
            }
            Message::RefreshToken(token) => self.door.refresh(token),
            Message::Reconnect(_) => return self.resumed().await,
            Message::PongResp(pong) => self.rtt_ms = unix_ms().saturating_sub(pong.last_ping_timestamp),
            Message::Leave(leave) => return self.told_to_leave(leave),
            Message::Join(_) => tracing::debug!("a second welcome was ignored"),
        }
        Ok(())
    }

    fn room(&mut self, room: Option<Room>) {
        if let Some(room) = room {
            self.sights.news(Seen::Room(room));
        }
    }

    fn told_to_leave(&mut self, leave: LeaveRequest) -> Result<(), End> {
        let reason = leave.reason();
        match reason {
            DisconnectReason::DuplicateIdentity
            | DisconnectReason::ParticipantRemoved
            | DisconnectReason::RoomDeleted
            | DisconnectReason::RoomClosed => Err(End::PutOut(reason)),
            _ if leave.action() == Action::Resume && self.open => {
                // It may be that our address is another one now: what we send leads there, and what it sends nowhere.
                self.silent = true;
                self.hung_up(&RoomError::Cut { problem: format!("the server says resume ({reason:?})") });
                Ok(())
            }
            _ => Err(lost(format!("the server says leave ({reason:?})"))),
        }
    }

    /// Asks for another way for data: by our offer, or, where offers are the server's, by resuming.
    pub(super) async fn another_way(&mut self) -> Result<(), End> {
        if matches!(self.line, Line::Down(_)) {
            return Ok(());
        }
        if self.peers.is_single() {
            self.offer_again().await
        } else {
            self.hung_up(&RoomError::Cut { problem: "no data comes".to_owned() });
            Ok(())
        }
    }

    async fn offer_again(&mut self) -> Result<(), End> {
        if let Some(offer) = self.peers.restart()? {
            self.say(signal_request::Message::Offer(offer)).await;
        }
        Ok(())
    }

    pub(super) async fn beat(&mut self) -> Result<(), End> {
        if matches!(self.line, Line::Down(_)) {
            return Ok(());
        }
        let silent = self.heard_at.elapsed();
        if silent > self.ping_timeout {
            let after_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            self.hung_up(&RoomError::Timeout { step: "word of the server", after_ms });
        } else {
            self.say(signal_request::Message::PingReq(Ping { timestamp: unix_ms(), rtt: self.rtt_ms })).await;
        }
        // What could not be said while signalling was away.
        self.speak().await
    }

    /// Says something where there is signalling; what needs an answer is said again when it is back.
    pub(super) async fn say(&mut self, message: signal_request::Message) {
        if let Line::Up(signal) = &mut self.line
            && let Err(error) = signal.send(message).await
        {
            self.hung_up(&error);
        }
    }

    /// Tells the server that we go.
    pub(super) async fn leave(&mut self) {
        let reason = DisconnectReason::ClientInitiated.into();
        let goodbye = LeaveRequest { reason, action: Action::Disconnect.into() };
        if let Line::Up(mut signal) = std::mem::replace(&mut self.line, Line::cut())
            && signal.send(signal_request::Message::Leave(goodbye)).await.is_ok()
        {
            signal.close().await;
        }
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
