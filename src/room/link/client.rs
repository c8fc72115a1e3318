//! The task that keeps the connection: dials, greets, speaks with the room, and dials again.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, future::poll_fn};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::connection::{Broken, Connection, Incoming, Outgoing};
use super::connections::Connections;
use super::dialect::{Dialect, Greeting, Heard, Limits, Written};
use super::frames::{Sink, Stream, Writer, fault, poll_write};
use super::pace::{Beat, Heartbeat};
use super::pump::Pump;
use super::shared::Shared;
use super::socket::Frame;
use super::{Patience, Way};
use crate::room::error::{RoomError, RoomEvent, close_code};
use crate::room::message::{ErrorMessage, FrameError, Resume, RoomMessage, SidecarMessage, Welcome};
use crate::telemetry::shown::without_numbers;
use crate::tls::Authorities;

/// How a connection ended.
enum End {
    /// The session is over, or we were asked to close.
    Over,
    /// It is to be dialled again.
    Lost(RoomError),
}

/// The task.
pub(super) struct Client {
    limits: Limits,
    pump: Pump,
    shared: Arc<Shared>,
    session: Option<String>,
    /// Where the sequence stood when the last unreadable frame came.
    unreadable_after: Option<u64>,
    room_name: String,
    patience: Patience,
}

impl Client {
    pub(super) fn new(
        limits: Limits,
        room_name: String,
        patience: Patience,
        shared: Arc<Shared>,
        events: mpsc::Sender<RoomEvent>,
    ) -> Self {
        let pump = Pump::new(patience.inbox_limit, events);
        Self { limits, pump, shared, session: None, unreadable_after: None, room_name, patience }
    }

    pub(super) async fn run(mut self, mut dialect: Box<dyn Dialect>, way: Way, authorities: Authorities) {
        let connections =
            Connections::new(way, &self.room_name, dialect.handshake(), self.limits.max_frame, &authorities);
        let last = match connections {
            Ok(connections) => self.keep_connected(&mut *dialect, connections).await,
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
    async fn keep_connected(&mut self, dialect: &mut dyn Dialect, mut connections: Connections) -> Option<RoomEvent> {
        let mut backoff = self.patience.backoff.clone();
        let mut lost_at = Instant::now();
        loop {
            let hello = self.hello(dialect);
            let Patience { connect_timeout, welcome_timeout, give_up_after, .. } = self.patience;
            let left = || give_up_after.saturating_sub(lost_at.elapsed());
            let joining = async {
                let connection = connections.next(connect_timeout, left()).await?;
                greet(connection, hello, dialect, welcome_timeout).await
            };
            let error = match self.meanwhile(joining).await? {
                Ok(greeted) => {
                    let since = Instant::now();
                    let end = self.serve(dialect, greeted).await;
                    self.shared.lock().outbox.disconnected();
                    self.pump.disconnected();
                    lost_at = Instant::now();
                    backoff.connection_ended(since.elapsed());
                    match end {
                        End::Over => return None,
                        End::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            let left = give_up_after.saturating_sub(lost_at.elapsed());
            if dialect.is_over(&error) || (left.is_zero() && dialect.is_over_unless_back()) {
                for heard in dialect.ended() {
                    self.heard(heard, &mut Writer::default());
                }
                let ended = RoomMessage::SessionEnded { seq: None, reason: "the room closed".to_owned() };
                self.pump.accept(&self.shared, None, Some(RoomEvent::Message(ended)));
                return None;
            }
            if self.is_final(dialect, &error) {
                return Some(RoomEvent::Refused(error));
            }
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
    fn is_final(&self, dialect: &dyn Dialect, error: &RoomError) -> bool {
        dialect.is_final(error) && !(self.session.is_some() && matches!(error, RoomError::Certificate { .. }))
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

    fn hello(&self, dialect: &mut dyn Dialect) -> Vec<Written> {
        let last_seq = self.pump.sequencer.contiguous();
        let resume = self.session.clone().map(|session_id| Resume { session_id, last_seq });
        dialect.hello(Greeting { room_name: &self.room_name, resume: resume.as_ref() })
    }

    fn welcomed(&mut self, welcome: Welcome) {
        tracing::debug!(session_id = %welcome.session_id, resumed = welcome.resumed, "the room let us in");
        if welcome.room_name != self.room_name {
            let (asked, got) = (without_numbers(&self.room_name), without_numbers(&welcome.room_name));
            tracing::warn!(%asked, %got, "the room goes by another name");
        }
        if !(welcome.resumed && self.session.as_deref() == Some(&welcome.session_id)) {
            self.pump.new_session(&self.shared);
            self.unreadable_after = None;
        }
        self.session = Some(welcome.session_id.clone());
        self.pump.connected();
        self.pump.inbox.push(RoomEvent::Message(RoomMessage::Welcome(welcome)));
        self.shared.lock().outbox.connected(Instant::now().into_std());
    }

    /// Speaks with the room until the connection ends.
    async fn serve(&mut self, dialect: &mut dyn Dialect, greeted: Greeted) -> End {
        let mut writer = Writer::default();
        self.welcomed(greeted.welcome);
        for heard in greeted.rest {
            self.heard(heard, &mut writer);
        }
        let (mut sink, mut stream) = greeted.connection.split();
        let shared = Arc::clone(&self.shared);
        let mut heart = Heartbeat::new(self.patience.missed_heartbeats);
        let mut beats = interval_at(Instant::now() + self.patience.heartbeat, self.patience.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unflushed = false;
        loop {
            let listening = !self.pump.inbox.is_full();
            let has_output = writer.has_output(&shared);
            if shared.closing.is_cancelled() && !has_output && !unflushed {
                self.hang_up(&mut sink, &mut stream, close_code::NORMAL, "").await;
                return End::Over;
            }
            tokio::select! {
                frame = stream.next(), if listening => {
                    heart.heard();
                    // Pings are answered by the library, but it is us who flush the answer.
                    unflushed |= matches!(frame, Some(Ok(Incoming::Frame(Frame::Ping(_)))));
                    if let Some(end) = self.received(frame, dialect, &mut writer, &mut sink, &mut stream).await {
                        return end;
                    }
                }
                ready = poll_fn(|cx| poll_write(&mut sink, cx, has_output)), if has_output || unflushed => {
                    let written = ready.and_then(|()| {
                        if has_output {
                            return writer.write_next(&mut sink, &shared, dialect);
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
                    Beat::Ping => writer.ping = true,
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
        frame: Option<Result<Incoming, Broken>>,
        dialect: &mut dyn Dialect,
        writer: &mut Writer,
        sink: &mut Sink,
        stream: &mut Stream,
    ) -> Option<End> {
        match frame {
            Some(Ok(Incoming::Frame(Frame::Close(close)))) => {
                // Lets our half of the closing handshake leave.
                let _ = timeout(self.patience.close_timeout, sink.flush()).await;
                return Some(self.closed(close));
            }
            Some(Ok(frame)) => {
                for heard in frame.content().map(|content| dialect.read(content)).unwrap_or_default() {
                    self.heard(heard, writer);
                }
            }
            Some(Err(error)) => return Some(self.unreadable(&error, sink, stream).await),
            None => return Some(self.broken(&Broken::CLOSED)),
        }
        None
    }

    fn heard(&mut self, heard: Heard, writer: &mut Writer) {
        match heard {
            Heard::Reply(written) => writer.reply(written),
            Heard::Welcome(_) | Heard::Unacceptable { .. } => tracing::debug!("a second welcome was ignored"),
            Heard::Message { seq, message } => self.pump.accept(&self.shared, seq, message.map(RoomEvent::Message)),
            Heard::Bad { seq, error } => self.bad_frame(seq, error),
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

    fn broken(&self, error: &Broken) -> End {
        if self.pump.ended { End::Over } else { End::Lost(error.error()) }
    }

    /// A read error. What cannot be read is told to the room with the close code, and to the runtime.
    async fn unreadable(&mut self, error: &Broken, sink: &mut Sink, stream: &mut Stream) -> End {
        if let Some((code, told)) = fault(error, self.limits.violation, self.limits.max_frame) {
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
            sink.send(Outgoing::Frame(Frame::Close(Some(frame)))).await?;
            while let Some(frame) = stream.next().await {
                frame?;
            }
            Ok::<(), Broken>(())
        };
        let closed = timeout(self.patience.close_timeout, goodbye).await;
        if !matches!(closed, Ok(Ok(()) | Err(Broken::Socket(WsError::ConnectionClosed)))) {
            tracing::debug!(code, "the closing handshake was not finished");
        }
    }
}

/// A connection whose room let us in.
struct Greeted {
    connection: Connection,
    welcome: Welcome,
    /// What came of calls meanwhile, and what the frame of the welcome said besides.
    rest: Vec<Heard>,
}

/// What the wait for a welcome ended with.
enum Answer {
    Welcome(Box<Welcome>, Vec<Heard>),
    Unacceptable { error: RoomError, code: u16, reason: String },
    Unusable(RoomError),
}

/// Says `hello` and waits for the welcome. What else the room says before it is not for us.
async fn greet(
    mut connection: Connection,
    hello: Vec<Written>,
    dialect: &mut dyn Dialect,
    patience: Duration,
) -> Result<Greeted, RoomError> {
    let after_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let exchange = async {
        for frame in hello {
            connection.send(frame.into()).await.map_err(|e| e.error())?;
        }
        // What came of calls that were made before a cut.
        let mut early = Vec::new();
        loop {
            match connection.next().await {
                Some(Ok(answered @ Incoming::Answered(_))) => {
                    early.extend(answered.content().map(|content| dialect.read(content)).unwrap_or_default());
                }
                Some(Ok(Incoming::Frame(Frame::Close(close)))) => {
                    let _ = connection.flush().await;
                    let (code, reason) = close.map_or((1005, String::new()), |c| (c.code.into(), c.reason.to_string()));
                    return Err(RoomError::Closed { code, reason });
                }
                Some(Ok(frame)) => {
                    let heard = frame.content().map(|content| dialect.read(content)).unwrap_or_default();
                    match answer(heard) {
                        Some(Answer::Welcome(welcome, rest)) => {
                            early.extend(rest);
                            return Ok(Answer::Welcome(welcome, early));
                        }
                        Some(answer) => return Ok(answer),
                        None => {}
                    }
                }
                Some(Err(error)) => return Err(error.error()),
                None => return Err(Broken::CLOSED.error()),
            }
        }
    };
    let answer = timeout(patience, exchange).await.map_err(|_| RoomError::Timeout { step: "welcome", after_ms })??;
    match answer {
        Answer::Welcome(welcome, rest) => Ok(Greeted { connection, welcome: *welcome, rest }),
        Answer::Unusable(error) => {
            let frame = CloseFrame { code: close_code::PROTOCOL.into(), reason: error.to_string().into() };
            let _ = timeout(Duration::from_secs(1), connection.close(frame)).await;
            Err(error)
        }
        Answer::Unacceptable { error, code, reason } => {
            let frame = CloseFrame { code: code.into(), reason: reason.into() };
            let _ = timeout(Duration::from_secs(1), connection.close(frame)).await;
            Err(error)
        }
    }
}

/// The welcome among what a frame said.
fn answer(heard: Vec<Heard>) -> Option<Answer> {
    let mut heard = heard.into_iter();
    while let Some(next) = heard.next() {
        match next {
            Heard::Welcome(welcome) => return Some(Answer::Welcome(Box::new(welcome), heard.collect())),
            Heard::Unacceptable { error, code, reason } => return Some(Answer::Unacceptable { error, code, reason }),
            Heard::Message { message: Some(RoomMessage::Error(error)), .. } => {
                tracing::warn!(code = %error.code, "the room answers hello with an error");
            }
            Heard::Message { .. } | Heard::Reply(_) => {}
            Heard::Bad { error, .. } if error.is_of("welcome") => {
                return Some(Answer::Unusable(RoomError::Welcome { problem: error.to_string() }));
            }
            Heard::Bad { error, .. } => tracing::warn!(%error, "a frame before welcome cannot be used"),
        }
    }
    None
}
