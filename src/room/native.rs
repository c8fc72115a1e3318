//! The client of the native dialect: one task that keeps the connection to a room, come what may, and a
//! [`RoomHandle`] for the runtime.
//!
//! The task never waits for the runtime and the runtime never for the task: both queues are bounded, and what happens
//! when they are full is written down at `room::queue`.

use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink as _, SinkExt, StreamExt, future::poll_fn};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::{RoomError, RoomEvent, close_code};
use super::message::{
    About, CommandStatus, ErrorMessage, FrameError, MAX_FRAME, Resume, RoomMessage, SidecarMessage, VERSION, Welcome,
};
use super::pace::{Backoff, Beat, Heartbeat};
use super::queue::{Inbox, Outbox};
use super::sequence::{Ledger, Sequencer};
use super::socket::{Dialer, Frame, RoomSocket, cut_error};
use crate::config::secret::Secret;

/// Which room, and how patiently.
#[derive(Debug, Clone)]
pub struct RoomConfig {
    /// `ws://` or `wss://`.
    pub url: Url,
    /// The room to ask for.
    pub room_name: String,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Certificate authorities to trust besides the platform's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// From TCP to the end of the WebSocket handshake (10 s).
    pub connect_timeout: Duration,
    /// From `hello` to `welcome` (10 s).
    pub welcome_timeout: Duration,
    /// Between pings (15 s).
    pub heartbeat: Duration,
    /// So many unanswered pings and the connection is dead (2).
    pub missed_heartbeats: u32,
    /// The first failure after so long without a connection is the last (120 s).
    pub give_up_after: Duration,
    /// How long [`RoomHandle::close`] may take (2 s).
    pub close_timeout: Duration,
    /// Messages that wait for the runtime before the socket is no longer read (256).
    pub inbox_limit: usize,
    /// Delays between attempts (0.25 s to 15 s).
    pub backoff: Backoff,
}

impl RoomConfig {
    /// The defaults.
    #[must_use]
    pub fn new(url: Url, room_name: impl Into<String>) -> Self {
        Self {
            url,
            room_name: room_name.into(),
            token: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            welcome_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            missed_heartbeats: 2,
            give_up_after: Duration::from_secs(120),
            close_timeout: Duration::from_secs(2),
            inbox_limit: 256,
            backoff: Backoff::default(),
        }
    }
}

/// Starts to keep a connection to a room. Must be called inside a tokio runtime.
#[must_use]
pub fn connect(config: RoomConfig) -> RoomHandle {
    let shared = Arc::new(Shared::default());
    // One slot: what waits is in the inbox, where interims can still be dropped.
    let (events, incoming) = mpsc::channel(1);
    let close_timeout = config.close_timeout;
    let client = Client {
        pump: Pump { inbox: Inbox::new(config.inbox_limit), sequencer: Sequencer::default(), events, ended: false },
        shared: Arc::clone(&shared),
        session: None,
        unreadable_after: None,
        config,
    };
    RoomHandle { shared, incoming, task: tokio::spawn(client.run()), close_timeout }
}

/// The runtime's end of a room connection. Dropping it cuts the connection; [`RoomHandle::close`] says goodbye.
#[derive(Debug)]
pub struct RoomHandle {
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<RoomEvent>,
    task: JoinHandle<()>,
    close_timeout: Duration,
}

impl RoomHandle {
    /// The next event; cancel-safe. After the last one, [`RoomEvent::Over`] for ever.
    pub async fn next(&mut self) -> RoomEvent {
        self.incoming.recv().await.unwrap_or(RoomEvent::Over)
    }

    /// Says something to the room. Never blocks; while there is no connection, commands, tool results and the latest
    /// `sentiment` and `tone` wait for the next one, and the registered tools are registered again.
    pub fn send(&self, message: SidecarMessage) {
        self.shared.lock().outbox.push(Instant::now().into_std(), message);
        self.shared.changed.notify_one();
    }

    /// This message and all that [`RoomHandle::next`] returned before it have been dealt with durably: they may be
    /// acked, and the room may forget them.
    pub fn processed(&self, seq: u64) {
        self.shared.lock().ledger.processed(seq);
        self.shared.changed.notify_one();
    }

    /// Sends what is queued, acks what was processed, and closes with 1000, all within the configured time.
    pub async fn close(mut self) {
        // Tells the task that nobody takes events any more.
        self.incoming.close();
        self.shared.closing.cancel();
        if timeout(self.close_timeout, &mut self.task).await.is_err() {
            tracing::debug!("the connection to the room did not close in time");
        }
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the handle and the task share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    ledger: Ledger,
}

impl State {
    fn has_output(&self) -> bool {
        self.outbox.has_next() || self.ledger.due().is_some()
    }

    /// The next message to write: ours first, for acks cost nothing when late.
    fn next_output(&mut self) -> Option<SidecarMessage> {
        if let Some(message) = self.outbox.next(Instant::now().into_std()) {
            return Some(message);
        }
        let seq = self.ledger.due()?;
        self.ledger.acked(seq);
        Some(SidecarMessage::Ack { seq })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state would be whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the socket to the runtime: order, then the inbox, then the channel.
struct Pump {
    inbox: Inbox,
    /// `None` holds the place of a message that nobody needs.
    sequencer: Sequencer<Option<RoomEvent>>,
    events: mpsc::Sender<RoomEvent>,
    /// `session.ended` has been passed on.
    ended: bool,
}

impl Pump {
    /// Hands one event over, or gives up one gap in the sequence, whichever comes first. Cancel-safe.
    async fn step(&mut self, shared: &Shared) {
        let due = self.sequencer.deadline().map(Instant::from_std);
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

    fn accept(&mut self, shared: &Shared, seq: Option<u64>, event: Option<RoomEvent>) {
        match (seq, event) {
            (Some(seq), event) => {
                let now = Instant::now().into_std();
                self.released(shared, |sequencer, out| sequencer.accept(now, seq, event, out));
            }
            (None, Some(event)) => self.pass_on(shared, event),
            (None, None) => {}
        }
    }

    fn flush(&mut self, shared: &Shared) {
        self.released(shared, Sequencer::flush);
    }

    fn released(
        &mut self,
        shared: &Shared,
        work: impl FnOnce(&mut Sequencer<Option<RoomEvent>>, &mut Vec<(u64, Option<RoomEvent>)>),
    ) {
        let mut out = Vec::new();
        work(&mut self.sequencer, &mut out);
        for event in out.into_iter().filter_map(|(_, event)| event) {
            self.pass_on(shared, event);
        }
        shared.lock().ledger.arrived(self.sequencer.contiguous());
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

    fn new_session(&mut self, shared: &Shared) {
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

/// How a connection ended.
enum End {
    /// The session is over, or we were asked to close.
    Over,
    /// It is to be dialled again.
    Lost(RoomError),
}

type Sink = SplitSink<RoomSocket, Frame>;
type Stream = SplitStream<RoomSocket>;

/// The task.
struct Client {
    pump: Pump,
    shared: Arc<Shared>,
    session: Option<String>,
    /// Where the sequence stood when the last unreadable frame came.
    unreadable_after: Option<u64>,
    config: RoomConfig,
}

impl Client {
    async fn run(mut self) {
        let c = &self.config;
        let last = match Dialer::new(&c.url, c.token.as_ref(), c.ca_file.as_deref(), c.connect_timeout) {
            Ok(dialer) => self.keep_connected(&dialer).await,
            Err(error) => Some(RoomEvent::Refused(error)),
        };
        self.pump.flush(&self.shared);
        if let Some(event) = last {
            self.pump.inbox.push(event);
        }
        while !self.pump.inbox.is_empty() {
            self.pump.step(&self.shared).await;
        }
    }

    /// Returns what the runtime is told last, if anything.
    async fn keep_connected(&mut self, dialer: &Dialer) -> Option<RoomEvent> {
        let mut backoff = self.config.backoff.clone();
        let mut lost_at = Instant::now();
        loop {
            let hello = self.hello();
            let patience = self.config.welcome_timeout;
            let joining = async { greet(dialer.dial().await?, hello, patience).await };
            let error = match self.meanwhile(joining).await? {
                Ok((socket, welcome)) => {
                    self.welcomed(welcome);
                    let since = Instant::now();
                    let end = self.serve(socket).await;
                    self.shared.lock().outbox.disconnected();
                    lost_at = Instant::now();
                    backoff.connection_ended(since.elapsed());
                    match end {
                        End::Over => return None,
                        End::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            if self.is_final(&error) {
                return Some(RoomEvent::Refused(error));
            }
            let left = self.config.give_up_after.saturating_sub(lost_at.elapsed());
            if left.is_zero() {
                return Some(RoomEvent::GaveUp(error));
            }
            let delay = backoff.delay(fastrand::f64()).min(left);
            tracing::info!(%error, delay_ms = delay.as_millis(), "no connection to the room");
            let retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            self.pump.inbox.push(RoomEvent::Lost { detail: error.to_string(), retry_in_ms });
            self.meanwhile(sleep(delay)).await?;
        }
    }

    /// A certificate that does not fit at the start is a wrong setting; later, one machine of many is out of order.
    fn is_final(&self, error: &RoomError) -> bool {
        error.is_final() && !(self.session.is_some() && matches!(error, RoomError::Certificate { .. }))
    }

    /// Does something slow without holding up the runtime. `None` when we were asked to close and nothing waits to
    /// be said.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let shared = Arc::clone(&self.shared);
        loop {
            let idle = shared.lock().outbox.is_empty();
            tokio::select! {
                out = &mut work => return Some(out),
                () = self.pump.step(&shared) => {}
                () = shared.closing.cancelled(), if idle => return None,
            }
        }
    }

    fn hello(&self) -> SidecarMessage {
        let last_seq = self.pump.sequencer.contiguous();
        SidecarMessage::Hello {
            versions: vec![VERSION],
            about: About { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            room_name: self.config.room_name.clone(),
            resume: self.session.clone().map(|session_id| Resume { session_id, last_seq }),
        }
    }

    fn welcomed(&mut self, welcome: Welcome) {
        tracing::debug!(session_id = %welcome.session_id, resumed = welcome.resumed, "the room let us in");
        if welcome.room_name != self.config.room_name {
            tracing::warn!(asked = %self.config.room_name, got = %welcome.room_name, "the room goes by another name");
        }
        if !(welcome.resumed && self.session.as_deref() == Some(&welcome.session_id)) {
            self.pump.new_session(&self.shared);
            self.unreadable_after = None;
        }
        self.session = Some(welcome.session_id.clone());
        self.pump.inbox.push(RoomEvent::Message(RoomMessage::Welcome(welcome)));
        self.shared.lock().outbox.connected(Instant::now().into_std());
    }

    /// Speaks with the room until the connection ends.
    async fn serve(&mut self, socket: RoomSocket) -> End {
        let (mut sink, mut stream) = socket.split();
        let shared = Arc::clone(&self.shared);
        let mut heart = Heartbeat::new(self.config.missed_heartbeats);
        let mut beats = interval_at(Instant::now() + self.config.heartbeat, self.config.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ping, mut unflushed) = (false, false);
        loop {
            let listening = !self.pump.inbox.is_full();
            let has_output = ping || shared.lock().has_output();
            if shared.closing.is_cancelled() && !has_output && !unflushed {
                self.hang_up(&mut sink, &mut stream, close_code::NORMAL, "").await;
                return End::Over;
            }
            tokio::select! {
                frame = stream.next(), if listening => {
                    heart.heard();
                    // Pings are answered by the library, but it is us who flush the answer.
                    unflushed |= matches!(frame, Some(Ok(Frame::Ping(_))));
                    if let Some(end) = self.received(frame, &mut sink, &mut stream).await {
                        return end;
                    }
                }
                ready = poll_fn(|cx| poll_write(&mut sink, cx, has_output)), if has_output || unflushed => {
                    let written = ready.and_then(|()| {
                        if has_output {
                            return write_next(&mut sink, &shared, &mut ping);
                        }
                        shared.lock().outbox.flushed();
                        Ok(())
                    });
                    if let Err(error) = written {
                        return self.broken(&error);
                    }
                    unflushed = has_output;
                }
                _ = beats.tick() => match heart.beat(listening) {
                    Beat::Ping => ping = true,
                    Beat::Dead { .. } if self.pump.ended => return End::Over,
                    Beat::Dead { missed } => return End::Lost(RoomError::Silent { missed }),
                },
                () = self.pump.step(&shared) => {}
                () = shared.changed.notified() => {}
                () = shared.closing.cancelled(), if !shared.closing.is_cancelled() => {}
            }
        }
    }

    /// Takes one frame; `Some` ends the connection.
    async fn received(
        &mut self,
        frame: Option<Result<Frame, WsError>>,
        sink: &mut Sink,
        stream: &mut Stream,
    ) -> Option<End> {
        match frame {
            Some(Ok(Frame::Text(text))) => self.take_text(&text),
            Some(Ok(Frame::Binary(bytes))) => {
                let detail = format!("a binary frame of {} bytes, where only text frames are spoken", bytes.len());
                self.bad_frame(None, FrameError::NotAMessage { detail });
            }
            Some(Ok(Frame::Close(close))) => {
                // Lets our half of the closing handshake leave.
                let _ = timeout(self.config.close_timeout, sink.flush()).await;
                return Some(self.closed(close));
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Err(error)) => return Some(self.unreadable(&error, sink, stream).await),
            None => return Some(self.broken(&WsError::ConnectionClosed)),
        }
        None
    }

    fn take_text(&mut self, text: &str) {
        let (seq, outcome) = read_frame(text);
        match outcome {
            Ok(Some(RoomMessage::Welcome(_))) => tracing::debug!("a second welcome was ignored"),
            Ok(message) => self.pump.accept(&self.shared, seq, message.map(RoomEvent::Message)),
            Err(error) => self.bad_frame(seq, error),
        }
    }

    fn bad_frame(&mut self, seq: Option<u64>, error: FrameError) {
        let answer = ErrorMessage {
            code: "bad_frame".to_owned(),
            message: error.to_string(),
            reference: seq.map(|seq| seq.to_string()),
            retryable: false,
        };
        self.shared.lock().outbox.push(Instant::now().into_std(), SidecarMessage::Error(answer));
        self.pump.accept(&self.shared, seq, Some(RoomEvent::BadFrame(error)));
    }

    fn closed(&mut self, close: Option<CloseFrame>) -> End {
        let (code, reason) = close.map_or((1005, String::new()), |c| (c.code.into(), c.reason.to_string()));
        if code == close_code::NORMAL {
            // Should `session.ended` wait for an earlier message, it waits in vain.
            self.pump.flush(&self.shared);
        }
        if self.pump.ended { End::Over } else { End::Lost(RoomError::Closed { code, reason }) }
    }

    fn broken(&self, error: &WsError) -> End {
        if self.pump.ended { End::Over } else { End::Lost(cut_error(error)) }
    }

    /// A read error. What cannot be read is told to the room with the close code, and to the runtime.
    async fn unreadable(&mut self, error: &WsError, sink: &mut Sink, stream: &mut Stream) -> End {
        if let Some((code, told)) = fault(error) {
            self.skip_if_stuck();
            let reason = told.to_string();
            self.pump.inbox.push(RoomEvent::BadFrame(told));
            self.hang_up(sink, stream, code, &reason).await;
        }
        self.broken(error)
    }

    /// A room that sends the same unreadable frame after every resume would keep us out for ever: at the second time
    /// the message that lies next is passed over.
    fn skip_if_stuck(&mut self) {
        let at = self.pump.sequencer.contiguous();
        if self.unreadable_after.replace(at) == Some(at) {
            tracing::warn!(seq = at.saturating_add(1), "the room's message cannot be read; going on after it");
            self.pump.accept(&self.shared, at.checked_add(1), None);
        }
    }

    /// Closes with a code and waits for the room to close as well, within the configured time.
    async fn hang_up(&mut self, sink: &mut Sink, stream: &mut Stream, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        let goodbye = async {
            sink.send(Frame::Close(Some(frame))).await?;
            while let Some(frame) = stream.next().await {
                frame?;
            }
            Ok::<(), WsError>(())
        };
        if !matches!(timeout(self.config.close_timeout, goodbye).await, Ok(Ok(()) | Err(WsError::ConnectionClosed))) {
            tracing::debug!(code, "the closing handshake was not finished");
        }
    }
}

/// The close code for a frame that no room may send, and what the runtime is told.
fn fault(error: &WsError) -> Option<(u16, FrameError)> {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            Some((close_code::TOO_LARGE, FrameError::TooLarge { size: *size }))
        }
        WsError::Utf8(_) => Some((close_code::NOT_UTF8, FrameError::NotAMessage { detail: "not UTF-8".to_owned() })),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(violation) => {
            Some((close_code::PROTOCOL, FrameError::NotAMessage { detail: violation.to_string() }))
        }
        _ => None,
    }
}

/// Ready to take a message, or done with sending those that it took.
fn poll_write(sink: &mut Sink, cx: &mut Context<'_>, more: bool) -> Poll<Result<(), WsError>> {
    let sink = Pin::new(sink);
    if more { sink.poll_ready(cx) } else { sink.poll_flush(cx) }
}

fn write_next(sink: &mut Sink, shared: &Shared, ping: &mut bool) -> Result<(), WsError> {
    let frame = if std::mem::take(ping) { Some(Frame::Ping(Bytes::new())) } else { next_frame(shared) };
    frame.map_or(Ok(()), |frame| sink.start_send_unpin(frame))
}

/// The next of our messages as a frame. One that is larger than the dialect allows would cost us the connection.
fn next_frame(shared: &Shared) -> Option<Frame> {
    let message = shared.lock().next_output()?;
    match serde_json::to_string(&message) {
        Ok(text) if text.len() <= MAX_FRAME => Some(Frame::text(text)),
        Ok(text) => {
            tracing::error!(
                size = text.len(),
                "a message to the room is larger than {MAX_FRAME} bytes and was not sent"
            );
            None
        }
        Err(error) => {
            tracing::error!(%error, "a message to the room cannot be written as JSON and was not sent");
            None
        }
    }
}

/// Reads a frame, and its `seq` even if nothing else in it can be used: its place in the sequence is taken.
fn read_frame(text: &str) -> (Option<u64>, Result<Option<RoomMessage>, FrameError>) {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let seq = value.get("seq").and_then(Value::as_u64);
            (seq, RoomMessage::from_value(value))
        }
        Err(_) => (None, RoomMessage::parse(text)),
    }
}

/// Says `hello` and waits for `welcome`. What else the room says before it is not for us.
async fn greet(
    mut socket: RoomSocket,
    hello: SidecarMessage,
    patience: Duration,
) -> Result<(RoomSocket, Welcome), RoomError> {
    let after_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let text = serde_json::to_string(&hello).map_err(|e| RoomError::Cut { problem: e.to_string() })?;
    let exchange = async {
        socket.send(Frame::text(text)).await.map_err(|e| cut_error(&e))?;
        loop {
            match socket.next().await {
                Some(Ok(Frame::Text(text))) => match read_frame(&text).1 {
                    Ok(Some(RoomMessage::Welcome(welcome))) => return Ok(welcome),
                    Ok(Some(RoomMessage::Error(error))) => {
                        tracing::warn!(code = %error.code, "the room answers hello with an error")
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "a frame before welcome cannot be used"),
                },
                Some(Ok(Frame::Close(close))) => {
                    let _ = socket.flush().await;
                    let (code, reason) = close.map_or((1005, String::new()), |c| (c.code.into(), c.reason.to_string()));
                    return Err(RoomError::Closed { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(cut_error(&error)),
                None => return Err(cut_error(&WsError::ConnectionClosed)),
            }
        }
    };
    let welcome = timeout(patience, exchange).await.map_err(|_| RoomError::Timeout { step: "welcome", after_ms })??;
    if welcome.version == VERSION {
        return Ok((socket, welcome));
    }
    let chosen = welcome.version;
    let reason = format!("version {chosen} was not offered").into();
    let frame = CloseFrame { code: close_code::PROTOCOL.into(), reason };
    let _ = timeout(Duration::from_secs(1), socket.close(Some(frame))).await;
    Err(RoomError::Version { chosen })
}
