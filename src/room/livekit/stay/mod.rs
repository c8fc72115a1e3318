//! A stay in a room: speaks signalling and keeps the connections, until it is over.
//!
//! Signalling may come and go: data flows on without it, and it is resumed. What cannot be mended ends the stay, and whoever
//! asked for it joins anew. `signalling` speaks it and resumes it; `sights` is what waits for whoever asked for the stay.

mod sights;
mod signalling;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use self::sights::Sights;
use super::calls::Calls;
use super::door::Door;
use super::line::Line;
use super::peer::{Channel, PeerError, PeerEvent};
use super::peers::Peers;
use super::proto::models::{DataPacket, DisconnectReason};
use super::proto::signal::{JoinResponse, signal_request};
use super::received::Received;
use super::seen::{Act, Seen};
use super::signal::Signal;
use crate::room::error::RoomError;
use crate::room::link::pace::Backoff;

pub(super) use self::sights::Sight;

/// So many packets of ours wait for a connection.
const MOST_UNSENT: usize = 256;
/// So long a server has to say why it closed a connection.
const LAST_WORDS: Duration = Duration::from_secs(1);
const NO_DATA: &str = "no data comes from it any more";
/// Where a server does not say how often it wants to be pinged, and how long it may be silent.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// What whoever asked for the stay wants.
#[derive(Debug)]
pub(super) enum Command {
    Act(Box<Act>),
    Ping,
    /// To leave the room.
    Leave,
}

/// Why a stay ends.
#[derive(Debug)]
enum End {
    /// We left.
    Asked,
    /// The server ended it for good.
    PutOut(DisconnectReason),
    /// It is to be begun anew.
    Lost(RoomError),
}

impl From<PeerError> for End {
    fn from(error: PeerError) -> Self {
        Self::Lost(RoomError::Cut { problem: error.to_string() })
    }
}

/// The stay.
pub(super) struct Stay {
    door: Door,
    line: Line,
    sid: String,
    peers: Peers,
    calls: Calls,
    received: Received,
    /// What waits for the reader.
    sights: Sights,
    unsent: VecDeque<Vec<u8>>,
    /// Whether data can come.
    open: bool,
    /// Whether nothing has come on the connection for a while.
    silent: bool,
    /// A connection is dead; until then the server may say why.
    dead: Option<Instant>,
    /// The address of ours that led to the server.
    local_ip: Option<IpAddr>,
    beats: Interval,
    ping_timeout: Duration,
    /// When the server last said something, and how long it took for our last ping, in ms.
    heard_at: Instant,
    rtt_ms: i64,
    /// Since when signalling is away.
    down_since: Option<Instant>,
    backoff: Backoff,
}

impl Stay {
    pub(super) fn new(door: Door, signal: Signal, peers: Peers, join: &JoinResponse, calls: Calls) -> Self {
        let seconds = |s: i32| u64::try_from(s).ok().filter(|s| *s > 0).map(Duration::from_secs);
        let interval = seconds(join.ping_interval).unwrap_or(PING_INTERVAL);
        let mut beats = interval_at(Instant::now() + interval, interval);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            door,
            local_ip: signal.local_ip(),
            line: Line::Up(Box::new(signal)),
            sid: join.participant.as_ref().map(|me| me.sid.clone()).unwrap_or_default(),
            peers,
            calls,
            received: Received::default(),
            sights: Sights::default(),
            unsent: VecDeque::new(),
            open: false,
            silent: false,
            dead: None,
            beats,
            ping_timeout: seconds(join.ping_timeout).unwrap_or(PING_TIMEOUT),
            heard_at: Instant::now(),
            rtt_ms: 0,
            down_since: None,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
        }
    }

    /// Waits until data can come.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn open(&mut self) -> Result<(), RoomError> {
        while !self.open {
            let stepped = tokio::select! {
                (hearing, event) = self.peers.next(true) => self.peer_event(hearing, event).await,
                said = self.line.next() => self.said(said).await,
            };
            match stepped {
                Ok(()) => {}
                Err(End::Lost(error)) => return Err(error),
                Err(End::PutOut(reason)) => return Err(put_out(reason)),
                Err(End::Asked) => return Err(RoomError::Cut { problem: "we left".to_owned() }),
            }
        }
        Ok(())
    }

    /// Keeps the stay until it is over. `joined` is what is seen first.
    pub(super) async fn run(mut self, joined: Seen, seen: mpsc::Sender<Sight>, mut commands: mpsc::Receiver<Command>) {
        self.sights.push_first(Sight::Seen(Box::new(joined)));
        let end = loop {
            if let Err(end) = self.step(&seen, &mut commands).await {
                break end;
            }
        };
        tracing::debug!(?end, "the stay in the room is over");
        // What was asked for is not asked for again: calls outlive the stay. This is first, as a reader that hears of the end
        // drops us.
        commands.close();
        settle(&self.calls, &mut commands);
        let mut last = None;
        match end {
            End::Asked => self.leave().await,
            End::PutOut(reason) => {
                self.sights.sees(Seen::Left(reason));
                last = Some(put_out(reason));
            }
            End::Lost(error) => last = Some(error),
        }
        for sight in self.sights.rest().chain(last.map(Sight::Over)) {
            // A place in the queue that was taken before it closed may be filled even now.
            settle(&self.calls, &mut commands);
            if seen.send(sight).await.is_err() {
                return;
            }
        }
    }

    async fn step(&mut self, seen: &mpsc::Sender<Sight>, commands: &mut mpsc::Receiver<Command>) -> Result<(), End> {
        let listening = self.sights.have_room();
        tokio::select! {
            permit = seen.reserve(), if !self.sights.is_empty() => match (permit, self.sights.pop()) {
                (Ok(permit), Some(sight)) => permit.send(sight),
                _ => return Err(End::Asked),
            },
            (hearing, event) = self.peers.next(listening) => return self.peer_event(hearing, event).await,
            said = self.line.next() => return self.said(said).await,
            command = commands.recv() => return self.command(command).await,
            Some(answered) = self.calls.answers.recv() => self.sights.sees(answered),
            _ = self.beats.tick() => return self.beat().await,
            () = sleep_until(self.dead.unwrap_or_else(Instant::now)), if self.dead.is_some() => return Err(lost(NO_DATA)),
        }
        Ok(())
    }

    async fn peer_event(&mut self, hearing: bool, event: PeerEvent) -> Result<(), End> {
        match (event, hearing) {
            (PeerEvent::Data(channel, bytes), true) => self.data(channel, &bytes),
            (PeerEvent::Open(channel), hearing) => {
                self.open |= hearing && channel == Channel::Reliable;
                self.send_waiting();
            }
            (PeerEvent::Silent, true) => {
                tracing::debug!("nothing comes from the room");
                self.silent = true;
                return self.another_way().await;
            }
            (PeerEvent::Back, true) => self.silent = false,
            // A server that ends our stay closes the connections first, and then says why.
            (PeerEvent::Failed, _) if self.open && matches!(self.line, Line::Up(_)) => {
                self.dead.get_or_insert_with(|| Instant::now() + LAST_WORDS);
            }
            (PeerEvent::Failed, _) => return Err(lost(NO_DATA)),
            (PeerEvent::Data(..) | PeerEvent::Silent | PeerEvent::Back, false) => {}
        }
        Ok(())
    }

    fn data(&mut self, channel: Channel, bytes: &[u8]) {
        match DataPacket::decode(bytes) {
            Ok(packet) => {
                if channel == Channel::Lossy || self.received.is_new(&packet) {
                    self.sights.sees(Seen::Packet(packet));
                }
            }
            Err(error) => tracing::debug!(%error, "a packet of the room cannot be read"),
        }
    }

    async fn command(&mut self, command: Option<Command>) -> Result<(), End> {
        match command {
            None | Some(Command::Leave) => return Err(End::Asked),
            Some(Command::Ping) => self.sights.push(Sight::Alive),
            Some(Command::Act(act)) => match *act {
                Act::Call(call) => self.calls.begin(call),
                Act::Decline { id, error } => self.calls.decline(id, error),
                Act::Send(packet) => {
                    if self.unsent.len() == MOST_UNSENT {
                        tracing::warn!("the room takes nothing, and the queue to it is full: one packet was dropped");
                        self.unsent.pop_front();
                    }
                    self.unsent.push_back(packet.encode_to_vec());
                    return self.speak().await;
                }
            },
        }
        Ok(())
    }

    /// Sends what waits, over a connection that is begun if need be.
    async fn speak(&mut self) -> Result<(), End> {
        if !self.unsent.is_empty()
            && matches!(self.line, Line::Up(_))
            && let Some(offer) = self.peers.begin_to_speak()?
        {
            self.say(signal_request::Message::Offer(offer)).await;
        }
        self.send_waiting();
        Ok(())
    }

    fn send_waiting(&mut self) {
        while let Some(packet) = self.unsent.pop_front() {
            let Some(speaker) = self.peers.speaker() else {
                self.unsent.push_front(packet);
                return;
            };
            if let Err(error) = speaker.send(Channel::Reliable, &packet) {
                tracing::warn!(%error, "a packet to the room was not sent");
            }
        }
    }
}

/// Begins the calls, and declines what is to be declined, of a queue whose stay is over. Packets are lost with the stay.
fn settle(calls: &Calls, commands: &mut mpsc::Receiver<Command>) {
    while let Ok(command) = commands.try_recv() {
        let Command::Act(act) = command else { continue };
        match *act {
            Act::Call(call) => calls.begin(call),
            Act::Decline { id, error } => calls.decline(id, error),
            Act::Send(_) => {}
        }
    }
}

fn lost(problem: impl Into<String>) -> End {
    End::Lost(RoomError::Cut { problem: problem.into() })
}

/// The error that ends a stay for good.
fn put_out(reason: DisconnectReason) -> RoomError {
    let reason = match reason {
        DisconnectReason::DuplicateIdentity => return RoomError::Superseded,
        DisconnectReason::ParticipantRemoved => "we were removed from it",
        DisconnectReason::RoomDeleted => "it was deleted",
        _ => "it was closed",
    };
    RoomError::PutOut { reason }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use std::sync::Arc;

    use tokio::sync::Mutex;
    use url::Url;

    use super::*;
    use crate::config::secret::Secret;
    use crate::room::livekit::api::ApiClient;
    use crate::room::livekit::seen::{ApiCall, ApiError, ApiMethod};
    use crate::room::livekit::token::{GivenToken, Key};
    use crate::tls::Authorities;

    #[tokio::test]
    async fn what_was_asked_for_when_the_stay_ended_is_answered_all_the_same() {
        let url = Url::parse("ws://127.0.0.1:1").unwrap();
        let key = Key::Token(GivenToken::new(Secret::new("t0ken")));
        let api = ApiClient::new(&url, key, "room_1", &Authorities::default()).unwrap();
        let (done, answers) = mpsc::unbounded_channel();
        let mut calls = Calls { api, done, answers: Arc::new(Mutex::new(answers)).lock_owned().await };
        let (wants, mut commands) = mpsc::channel(4);
        let (method, timeout) = (ApiMethod::PerformRpc, Duration::from_secs(5));
        let call = Act::Call(ApiCall { id: "call-1".to_owned(), method, body: Vec::new(), timeout });
        let decline = Act::Decline { id: "call-2".to_owned(), error: ApiError::Nobody("nobody") };
        for act in [Act::Send(DataPacket::default()), call, decline] {
            wants.try_send(Command::Act(Box::new(act))).unwrap();
        }
        commands.close();
        settle(&calls, &mut commands);
        let mut answered = Vec::new();
        for _ in 0..2 {
            let Some(Seen::Answered { id, result: Err(_) }) = calls.answers.recv().await else { panic!("no answer") };
            answered.push(id);
        }
        answered.sort();
        assert_eq!(answered, ["call-1", "call-2"]);
    }
}
