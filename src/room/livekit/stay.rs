//! A stay in a room: speaks signalling and keeps the connections, until it is over.
//!
//! Signalling may come and go: data flows on without it, and it is resumed. What cannot be mended ends the stay, and whoever
//! asked for it joins anew.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::calls::Calls;
use super::door::{Door, Knock};
use super::line::{Line, Said};
use super::peer::{Channel, PeerError, PeerEvent};
use super::peers::Peers;
use super::proto::models::{DataPacket, DisconnectReason, ParticipantInfo, ParticipantState, Room};
use super::proto::signal::leave_request::Action;
use super::proto::signal::{JoinResponse, LeaveRequest, Ping, SyncState, signal_request, signal_response};
use super::received::Received;
use super::seen::{Act, Seen};
use super::signal::Signal;
use crate::room::error::RoomError;
use crate::room::link::pace::Backoff;

/// So much waits for a reader; what is more waits on the server.
const MOST_PENDING: usize = 64;
/// So many packets of ours wait for a connection.
const MOST_UNSENT: usize = 256;
/// Signalling that has been away for so long does not come back: the room is joined anew.
const RESUME_FOR: Duration = Duration::from_secs(90);
/// So long a server has to say why it closed a connection.
const LAST_WORDS: Duration = Duration::from_secs(1);
const NO_DATA: &str = "no data comes from it any more";
/// Where a server does not say how often it wants to be pinged, and how long it may be silent.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// What whoever asked for the stay hears.
#[derive(Debug)]
pub(super) enum Sight {
    Seen(Box<Seen>),
    /// The answer to [`Command::Ping`].
    Alive,
    /// It is over.
    Over(RoomError),
}

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
    pending: VecDeque<Sight>,
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
            pending: VecDeque::new(),
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
        self.pending.push_front(Sight::Seen(Box::new(joined)));
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
                self.pending.push_back(Sight::Seen(Box::new(Seen::Left(reason))));
                last = Some(put_out(reason));
            }
            End::Lost(error) => last = Some(error),
        }
        for sight in self.pending.into_iter().chain(last.map(Sight::Over)) {
            // A place in the queue that was taken before it closed may be filled even now.
            settle(&self.calls, &mut commands);
            if seen.send(sight).await.is_err() {
                return;
            }
        }
    }

    async fn step(&mut self, seen: &mpsc::Sender<Sight>, commands: &mut mpsc::Receiver<Command>) -> Result<(), End> {
        let listening = self.pending.len() < MOST_PENDING;
        tokio::select! {
            permit = seen.reserve(), if !self.pending.is_empty() => match (permit, self.pending.pop_front()) {
                (Ok(permit), Some(sight)) => permit.send(sight),
                _ => return Err(End::Asked),
            },
            (hearing, event) = self.peers.next(listening) => return self.peer_event(hearing, event).await,
            said = self.line.next() => return self.said(said).await,
            command = commands.recv() => return self.command(command).await,
            Some(answered) = self.calls.answers.recv() => self.sees(answered),
            _ = self.beats.tick() => return self.beat().await,
            () = sleep_until(self.dead.unwrap_or_else(Instant::now)), if self.dead.is_some() => return Err(lost(NO_DATA)),
        }
        Ok(())
    }

    /// Signalling is read on while the reader is behind, as what keeps the connection comes by it. So that the queue does not
    /// grow, what the server says of the room joins what waits there already.
    fn sees_news(&mut self, news: Seen) {
        if self.pending.len() < MOST_PENDING {
            return self.sees(news);
        }
        // Not before packets that came earlier: they may be of somebody who has left since.
        let since = self.pending.iter_mut().rev().map_while(|sight| match sight {
            Sight::Seen(seen) if matches!(**seen, Seen::Packet(_) | Seen::Joined(_)) => None,
            Sight::Seen(seen) => Some(Some(&mut **seen)),
            Sight::Alive | Sight::Over(_) => Some(None),
        });
        let mut waiting = since.flatten();
        match news {
            Seen::Participants(infos) => match waiting.find(|seen| matches!(seen, Seen::Participants(_))) {
                Some(Seen::Participants(known)) => merge(known, infos),
                _ => self.sees(Seen::Participants(infos)),
            },
            Seen::Room(room) => match waiting.find(|seen| matches!(seen, Seen::Room(_))) {
                Some(Seen::Room(known)) => *known = room,
                _ => self.sees(Seen::Room(room)),
            },
            other => self.sees(other),
        }
    }

    fn sees(&mut self, seen: Seen) {
        self.pending.push_back(Sight::Seen(Box::new(seen)));
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
                    self.sees(Seen::Packet(packet));
                }
            }
            Err(error) => tracing::debug!(%error, "a packet of the room cannot be read"),
        }
    }

    /// Asks for another way for data: by our offer, or, where offers are the server's, by resuming.
    async fn another_way(&mut self) -> Result<(), End> {
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

    async fn said(&mut self, said: Said) -> Result<(), End> {
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
            Message::Update(update) => self.sees_news(Seen::Participants(update.participants)),
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
            self.sees_news(Seen::Room(room));
        }
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

    async fn command(&mut self, command: Option<Command>) -> Result<(), End> {
        match command {
            None | Some(Command::Leave) => return Err(End::Asked),
            Some(Command::Ping) => self.pending.push_back(Sight::Alive),
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

    async fn beat(&mut self) -> Result<(), End> {
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
    async fn say(&mut self, message: signal_request::Message) {
        if let Line::Up(signal) = &mut self.line
            && let Err(error) = signal.send(message).await
        {
            self.hung_up(&error);
        }
    }

    /// Tells the server that we go.
    async fn leave(&mut self) {
        let reason = DisconnectReason::ClientInitiated.into();
        let goodbye = LeaveRequest { reason, action: Action::Disconnect.into() };
        if let Line::Up(mut signal) = std::mem::replace(&mut self.line, Line::cut())
            && signal.send(signal_request::Message::Leave(goodbye)).await.is_ok()
        {
            signal.close().await;
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

/// Adds what is said of participants to what waits: of each stay the newest, and its end.
fn merge(known: &mut Vec<ParticipantInfo>, news: Vec<ParticipantInfo>) {
    let is_gone = |info: &ParticipantInfo| info.state() == ParticipantState::Disconnected;
    for info in news {
        match known.iter_mut().rev().find(|before| before.sid == info.sid) {
            Some(before) if is_gone(before) => {}
            Some(before) if !is_gone(&info) => {
                if before.version <= info.version {
                    *before = info;
                }
            }
            _ => known.push(info),
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

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use std::sync::Arc;

    use tokio::sync::Mutex;
    use url::Url;

    use super::super::api::ApiClient;
    use super::super::seen::{ApiCall, ApiError, ApiMethod};
    use super::super::token::{GivenToken, Key};
    use super::*;
    use crate::config::secret::Secret;
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

    #[test]
    fn of_each_stay_the_newest_is_kept_and_its_end() {
        let info = |sid: &str, version: u32, state: ParticipantState| ParticipantInfo {
            sid: sid.to_owned(),
            version,
            state: state.into(),
            ..ParticipantInfo::default()
        };
        let (active, gone) = (ParticipantState::Active, ParticipantState::Disconnected);
        let mut known = vec![info("PA_1", 1, active)];
        merge(&mut known, vec![info("PA_1", 3, active), info("PA_2", 1, active), info("PA_1", 2, active)]);
        assert_eq!(known, [info("PA_1", 3, active), info("PA_2", 1, active)]);
        merge(&mut known, vec![info("PA_1", 0, gone), info("PA_1", 3, active)]);
        assert_eq!(known, [info("PA_1", 3, active), info("PA_2", 1, active), info("PA_1", 0, gone)]);
        merge(&mut known, vec![info("PA_1", 5, active)]);
        assert_eq!(known.len(), 3);
    }
}
