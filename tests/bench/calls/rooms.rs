//! The role of the rooms: a platform that plays one conversation in each, and sees how long each caller turn waits for its
//! `sentiment`.

use std::collections::HashMap;
use std::io::{Write as _, stdin, stdout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use sentiment_sidecar::room::message::{
    CallInfo, CommandStatus, Participant, Role, RoomMessage, SUBPROTOCOL, SidecarMessage, Transcript, TurnEnded,
    VERSION, Welcome, capability,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::process::Said;

/// How long a decision is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

const CALLER: [&str; 8] = [
    "hi I am calling about my internet connection it has been down since this morning",
    "yes the router is on and the lights are all green as far as I can see",
    "I already restarted it twice and nothing changed at all",
    "okay I can do that give me a moment please",
    "it says connected but no page opens and I need this for work",
    "that is what your colleague told me yesterday and it did not help",
    "well it seems to be a bit better now the mail is coming in",
    "thank you that would be great please send somebody in the afternoon",
];

const AGENT: [&str; 4] = [
    "Thank you for calling, what can I do for you today?",
    "I see. Could you please tell me what the lights on the router show?",
    "Let me look at the line from here, this takes a moment.",
    "I can send a technician tomorrow, would the afternoon suit you?",
];

/// Why a call ends after which another one takes its place.
pub(crate) const HUNG_UP: &str = "the caller hung up";

/// What is played: so many calls, a caller turn of each so often, in rounds. A round before the first is not counted.
#[derive(Clone, Copy)]
pub(crate) struct Play {
    pub(crate) calls: usize,
    /// After so many turns, the caller's and the agent's, a caller hangs up; none does otherwise.
    pub(crate) turns: Option<usize>,
    pub(crate) every: Duration,
    pub(crate) round: Duration,
    pub(crate) rounds: usize,
}

impl Play {
    pub(crate) fn to_args(self) -> Vec<String> {
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let (every, round) = (milliseconds(self.every), milliseconds(self.round));
        let turns = self.turns.unwrap_or_default().to_string();
        vec!["rooms".to_owned(), self.calls.to_string(), turns, every, round, self.rounds.to_string()]
    }

    pub(crate) fn from_args(args: &[&str]) -> Self {
        let number = |at: usize| -> u32 { args[at].parse().unwrap() };
        let duration = |at| Duration::from_millis(number(at).into());
        let turns = Some(number(1) as usize).filter(|turns| *turns > 0);
        Self { calls: number(0) as usize, turns, every: duration(2), round: duration(3), rounds: number(4) as usize }
    }

    /// Which round a moment belongs to; none after the last.
    fn round_at(&self, since_start: Duration) -> Option<usize> {
        let round = (since_start.as_millis() / self.round.as_millis()) as usize;
        (round <= self.rounds).then_some(round)
    }
}

/// Listens, plays when it is told to, and ends all calls when stdin closes.
pub(crate) fn run(play: Play) {
    let (start, _) = watch::channel(None);
    let platform = Arc::new(Platform {
        play,
        start,
        over: CancellationToken::new(),
        score: Mutex::new(Score { joined: 0, attached: 0, rounds: vec![Round::default(); play.rounds + 1] }),
        changed: Notify::new(),
    });
    let told = Arc::clone(&platform);
    std::thread::spawn(move || {
        let mut line = String::new();
        while stdin().read_line(&mut line).is_ok_and(|len| len > 0) {
            told.start.send_replace(Some(Instant::now()));
        }
        told.over.cancel();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(platform.run());
}

/// A child's stdout is a pipe, whose reader may be gone: then there is nobody to tell.
fn say(said: &Said) {
    let _ = writeln!(stdout(), "{}", serde_json::to_string(said).unwrap());
}

struct Platform {
    play: Play,
    start: watch::Sender<Option<Instant>>,
    over: CancellationToken,
    score: Mutex<Score>,
    changed: Notify,
}

struct Score {
    joined: usize,
    attached: usize,
    rounds: Vec<Round>,
}

#[derive(Clone, Default)]
struct Round {
    asked: usize,
    waited: Vec<u64>,
}

impl Platform {
    async fn run(self: Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        say(&Said::Port(listener.local_addr().unwrap().port()));
        let calls = TaskTracker::new();
        tokio::select! {
            () = self.over.cancelled() => {}
            () = Arc::clone(&self).accept(listener, &calls) => {}
            () = self.watch() => self.over.cancelled().await,
        }
        calls.close();
        let _ = timeout(PATIENCE, calls.wait()).await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, calls: &TaskTracker) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let platform = Arc::clone(&self);
            calls.spawn(async move { Call::serve(platform, stream).await });
        }
    }

    /// Tells the bench how it goes.
    async fn watch(&self) {
        self.until(|score| score.attached >= self.play.calls).await;
        say(&Said::Attached);
        let mut start = self.start.subscribe();
        let Ok(Some(start)) = start.wait_for(Option::is_some).await.map(|start| *start) else { return };
        sleep_until(start + self.play.round).await;
        say(&Said::WarmedUp);
        for number in 1..=self.play.rounds {
            let end = start + self.play.round * (number as u32 + 1);
            sleep_until(end).await;
            let decided = self.until(|score| score.rounds[number].asked == score.rounds[number].waited.len());
            let _ = timeout_at(end + PATIENCE, decided).await;
            let Round { asked, waited } = self.score.lock().unwrap().rounds[number].clone();
            say(&Said::Round { undecided: asked - waited.len(), waited });
        }
    }

    async fn until(&self, reached: impl Fn(&Score) -> bool) {
        while !reached(&self.score.lock().unwrap()) {
            self.changed.notified().await;
        }
    }

    fn note(&self, change: impl FnOnce(&mut Score)) {
        change(&mut self.score.lock().unwrap());
        self.changed.notify_one();
    }
}

/// One call, from its handshake to its end.
struct Call {
    platform: Arc<Platform>,
    socket: WebSocketStream<TcpStream>,
    /// Which call it is, of those that are spread over the time from turn to turn.
    place: usize,
    seq: u64,
    turns: usize,
    asked: HashMap<String, (usize, Instant)>,
}

impl Call {
    async fn serve(platform: Arc<Platform>, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let choose = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        let socket = accept_hdr_async(stream, choose).await.ok()?;
        let mut place = 0;
        platform.note(|score| {
            place = score.joined;
            score.joined += 1;
        });
        Self { platform, socket, place, seq: 0, turns: 0, asked: HashMap::new() }.run().await
    }

    async fn run(mut self) -> Option<()> {
        let platform = Arc::clone(&self.platform);
        let mut start = platform.start.subscribe();
        // Who takes another's place comes while the others talk.
        let talks = start.borrow().is_some();
        let mut next = talks.then(|| Instant::now() + platform.play.every / 2);
        loop {
            tokio::select! {
                frame = self.socket.next() => match frame?.ok()? {
                    Message::Text(text) => self.heard(serde_json::from_str(&text).ok()?).await?,
                    Message::Close(_) => return None,
                    _ => self.socket.flush().await.ok()?,
                },
                changed = start.changed() => {
                    changed.ok()?;
                    next = Some(self.first_turn());
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    if self.has_said_all() {
                        return self.end(HUNG_UP).await;
                    }
                    next = self.speak(next?).await?;
                }
                () = platform.over.cancelled() => return self.end("the bench is over").await,
            }
        }
    }

    /// The first callers hang up one after the other, and so do those who take their places.
    fn has_said_all(&self) -> bool {
        let Play { calls, turns, .. } = self.platform.play;
        let most = |turns| if self.place < calls { turns * (self.place + 1) / calls } else { turns };
        turns.is_some_and(|turns| self.turns >= most(turns))
    }

    fn started(&self) -> Instant {
        self.platform.start.borrow().unwrap_or_else(Instant::now)
    }

    fn first_turn(&self) -> Instant {
        let Play { calls, every, .. } = self.platform.play;
        self.started() + every.mul_f64(self.place as f64 / calls as f64)
    }

    /// The caller's turn and the agent's take turns. Returns when the next is due.
    async fn speak(&mut self, due: Instant) -> Option<Option<Instant>> {
        let Some(round) = self.platform.play.round_at(due - self.started()) else { return Some(None) };
        let (exchange, by_caller) = (self.turns / 2, self.turns.is_multiple_of(2));
        let (who, lines) = if by_caller { ("caller", &CALLER[..]) } else { ("agent", &AGENT[..]) };
        let text = lines[(exchange + self.place) % lines.len()];
        self.turns += 1;
        let number = self.turns;
        if by_caller {
            self.transcript(number, who, &text[..text.len() / 2], false).await?;
        }
        self.transcript(number, who, text, true).await?;
        let (turn_id, seq) = (format!("t{number}"), self.number());
        let ended = TurnEnded {
            seq,
            turn_id: turn_id.clone(),
            index: None,
            participant_id: who.to_owned(),
            text: None,
            segment_ids: vec![format!("s{number}")],
            start_ms: None,
            end_ms: None,
            whole: false,
            mended: Vec::new(),
        };
        if by_caller {
            self.platform.note(|score| score.rounds[round].asked += 1);
            self.asked.insert(turn_id, (round, Instant::now()));
        }
        self.send(RoomMessage::TurnEnded(ended)).await?;
        Some(Some(due + self.platform.play.every / 2))
    }

    async fn transcript(&mut self, number: usize, who: &str, text: &str, is_final: bool) -> Option<()> {
        let end_ms = self.started().elapsed().as_millis() as u64;
        let transcript = Transcript {
            seq: self.number(),
            segment_id: format!("s{number}"),
            rev: u32::from(is_final),
            participant_id: who.to_owned(),
            text: text.to_owned(),
            is_final,
            start_ms: Some(end_ms.saturating_sub(400)),
            end_ms: Some(end_ms),
            confidence: Some(0.9),
            lang: None,
            mended: Vec::new(),
        };
        self.send(RoomMessage::Transcript(transcript)).await
    }

    fn number(&mut self) -> Option<u64> {
        self.seq += 1;
        Some(self.seq)
    }

    async fn send(&mut self, message: RoomMessage) -> Option<()> {
        self.socket.send(Message::text(serde_json::to_string(&message).ok()?)).await.ok()
    }

    async fn heard(&mut self, message: SidecarMessage) -> Option<()> {
        match message {
            SidecarMessage::Hello { room_name, .. } => {
                let participant = |id: &str, role| Participant { id: id.to_owned(), role, name: None };
                let welcome = Welcome {
                    version: VERSION,
                    session_id: format!("{room_name}-{}", self.place),
                    room_name,
                    call: CallInfo::default(),
                    participants: vec![participant("caller", Role::Caller), participant("agent", Role::Agent)],
                    capabilities: [capability::TURN_EVENTS, capability::SET_FLAG, capability::TOOLS]
                        .map(str::to_owned)
                        .into(),
                    resumed: false,
                    alerts: Vec::new(),
                };
                self.send(RoomMessage::Welcome(welcome)).await?;
            }
            SidecarMessage::ToolsRegister { .. } => self.platform.note(|score| score.attached += 1),
            SidecarMessage::Sentiment { turn_id, .. } => {
                if let Some((round, asked)) = self.asked.remove(&turn_id) {
                    let waited = asked.elapsed().as_micros() as u64;
                    self.platform.note(|score| score.rounds[round].waited.push(waited));
                }
            }
            SidecarMessage::Command { command_id, .. } => {
                let seq = self.number();
                let (status, code, detail) = (CommandStatus::Done, None, None);
                self.send(RoomMessage::CommandResult { seq, command_id, status, code, detail }).await?;
            }
            _ => {}
        }
        Some(())
    }

    async fn end(mut self, reason: &str) -> Option<()> {
        let seq = self.number();
        self.send(RoomMessage::SessionEnded { seq, reason: reason.to_owned() }).await?;
        self.socket.close(None).await.ok()?;
        while self.socket.next().await?.is_ok() {}
        None
    }
}
