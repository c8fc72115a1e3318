//! The connection of a worker to the server's dispatcher: registers, and again after a cut ([`register`]).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::Error as WsError;
use url::Url;

use super::super::api::ApiClient;
use super::super::token::{ApiKey, Grants, Key};
use super::protocol::{self, Heard, PING_INTERVAL_S};
use super::rooms::Rooms;
use crate::room::dispatch::{Dispatcher, Event, Finish, Order, Sought, Standing};
use crate::room::error::RoomError;
use crate::room::link::dialect::{Credentials, Handshake};
use crate::room::link::pace::Backoff;
use crate::room::link::socket::{Dialer, Frame, RoomSocket, cut_error};
use crate::tls::Authorities;

/// The largest message of a server, in bytes: a job tells of its room and its metadata.
const MAX_MESSAGE: usize = 1024 * 1024;
/// From TCP to the end of the WebSocket handshake, and from there until we are registered, each.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// A server that is silent for so long is gone; it answers pings.
const SILENT: Duration = Duration::from_secs(15);
/// Whoever takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(5);
/// How long a token lasts that a connection is begun with.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// So much waits for the worker.
const WAITING: usize = 64;

/// As whom a worker registers, and where.
pub struct Registration {
    /// The server, `ws://` or `wss://`.
    pub url: Url,
    /// Its API key, which opens all of its rooms.
    pub key: ApiKey,
    /// Who vouches for it.
    pub authorities: Authorities,
    /// Whose jobs are taken: those of explicit dispatches of this name. Workers of a name share its jobs.
    pub agent_name: String,
    /// Whether one of us is wanted in rooms that have asked for nobody, too.
    pub every_room: bool,
}

/// Starts the task that keeps a worker registered. Must be called inside a tokio runtime.
///
/// # Errors
/// [`RoomError`] where URL or key cannot work: nothing is dialled then.
pub fn register(registration: Registration) -> Result<Dispatcher, RoomError> {
    let Registration { mut url, key, authorities, agent_name, every_room } = registration;
    let api = ApiClient::new(&url, Key::Api(key.clone()), "", &authorities)?;
    let path = format!("{}/agent", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(Some("protocol=1"));
    url.set_fragment(None);
    let (events, heard) = mpsc::channel(WAITING);
    let (said, orders) = mpsc::unbounded_channel();
    let keeper = Keeper {
        url,
        key: Key::Api(key),
        authorities,
        rooms: Rooms::new(api, agent_name.clone(), every_room),
        agent_name,
        events,
        orders,
        standing: Standing::default(),
        errands: JoinSet::new(),
        was_registered: false,
    };
    // What cannot work is said before anything is dialled.
    keeper.dialer()?;
    Ok(Dispatcher::new(heard, said, tokio::spawn(keeper.run())))
}

/// Why a connection ended.
enum End {
    /// Nobody orders anything any more, or hears of anything.
    Asked,
    Lost(RoomError),
}

struct Keeper {
    url: Url,
    key: Key,
    authorities: Authorities,
    agent_name: String,
    rooms: Rooms,
    events: mpsc::Sender<Event>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// The last that was ordered.
    standing: Standing,
    /// What is asked of the API; it outlives a connection.
    errands: JoinSet<Option<Sought>>,
    was_registered: bool,
}

impl Keeper {
    fn dialer(&self) -> Result<Dialer, RoomError> {
        let handshake = Handshake { subprotocol: None, credentials: Credentials::Bearer };
        let token = self.key.token(&Grants::worker(), LIFETIME);
        Dialer::new(&self.url, Some(&token), handshake, MAX_MESSAGE, &self.authorities)
    }

    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let error = match self.connected().await {
                End::Asked => break,
                End::Lost(error) => error,
            };
            if error.is_final() && !self.was_registered {
                let _ = self.events.send(Event::Refused(error)).await;
                return;
            }
            backoff.connection_ended(began.elapsed());
            let delay = backoff.delay(fastrand::f64());
            let retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            let lost = Event::Lost { detail: error.of_server(), retry_in_ms };
            if self.events.send(lost).await.is_err() || self.away_for(delay).await.is_break() {
                break;
            }
        }
        while self.errands.join_next().await.is_some() {}
    }

    /// Waits for the next try. What is ordered meanwhile is done as far as it can be.
    async fn away_for(&mut self, delay: Duration) -> std::ops::ControlFlow<()> {
        let mut waiting = std::pin::pin!(sleep(delay));
        loop {
            tokio::select! {
                () = &mut waiting => return std::ops::ControlFlow::Continue(()),
                order = self.orders.recv() => match order {
                    Some(order) => drop(self.take(order)),
                    None => return std::ops::ControlFlow::Break(()),
                },
                Some(done) = self.errands.join_next() => self.told(done).await,
            }
        }
    }

    /// Dials, registers, and speaks with the server until the connection ends.
    async fn connected(&mut self) -> End {
        let socket = match self.dialer() {
            Ok(dialer) => dialer.dial(DIAL_LIMIT).await,
            Err(error) => Err(error),
        };
        let mut socket = match socket {
            Ok(socket) => socket,
            Err(error) => return End::Lost(error),
        };
        match timeout(DIAL_LIMIT, self.introduce(&mut socket)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::Lost(error),
            Err(_) => return End::Lost(late("registration", DIAL_LIMIT)),
        }
        let end = match self.serve(&mut socket).await {
            Ok(()) => End::Asked,
            Err(error) => End::Lost(error),
        };
        if matches!(end, End::Asked) {
            let _ = timeout(STUCK, socket.close(None)).await;
        }
        end
    }

    async fn introduce(&mut self, socket: &mut RoomSocket) -> Result<(), RoomError> {
        say(socket, protocol::register(&self.agent_name)).await?;
        let worker = loop {
            // A server that knows of no agents closes the connection.
            if let Some(Heard::Registered { worker }) = hear(socket).await? {
                break worker;
            }
        };
        self.was_registered = true;
        say(socket, protocol::standing(self.standing)).await?;
        let _ = self.events.send(Event::Registered { worker }).await;
        Ok(())
    }

    async fn serve(&mut self, socket: &mut RoomSocket) -> Result<(), RoomError> {
        let mut beats = beats();
        let mut heard_at = Instant::now();
        loop {
            tokio::select! {
                heard = hear(socket) => {
                    heard_at = Instant::now();
                    if let Some(heard) = heard? {
                        self.heard(socket, heard).await?;
                    }
                }
                order = self.orders.recv() => match order {
                    Some(order) => {
                        for message in self.take(order) {
                            say(socket, message).await?;
                        }
                    }
                    None => return Ok(()),
                },
                _ = beats.tick() => {
                    if heard_at.elapsed() > SILENT {
                        return Err(RoomError::Silent { missed: missed(heard_at) });
                    }
                    say(socket, protocol::ping(unix_ms())).await?;
                }
                Some(done) = self.errands.join_next() => self.told(done).await,
            }
        }
    }

    async fn heard(&mut self, socket: &mut RoomSocket, heard: Heard) -> Result<(), RoomError> {
        let event = match heard {
            Heard::Registered { .. } | Heard::Pong => return Ok(()),
            Heard::Asked(job) => Event::Asked(job),
            Heard::Assigned(job) => {
                say(socket, protocol::running(&job.id)).await?;
                Event::Assigned(job)
            }
            Heard::Terminated { id } => Event::Terminated { id },
        };
        // Where nobody hears it, the orders end as well.
        let _ = self.events.send(event).await;
        Ok(())
    }

    /// Begins what an order asks of the API. Returns what it has us say.
    fn take(&mut self, order: Order) -> Vec<Vec<u8>> {
        match order {
            Order::Answer { id, answer } => vec![protocol::answer(&id, answer)],
            Order::Finished { job, how } => {
                let said = protocol::finished(&job.id, &how);
                if how == Finish::Done {
                    let rooms = self.rooms.clone();
                    self.errands.spawn(async move {
                        if let Err(error) = rooms.forget(&job).await {
                            tracing::debug!(%error, "what asked for us in a room that we are done with was not taken back");
                        }
                        None
                    });
                }
                vec![said]
            }
            Order::Standing(standing) => {
                self.standing = standing;
                vec![protocol::standing(standing)]
            }
            Order::Seek { held } => {
                let rooms = self.rooms.clone();
                self.errands.spawn(async move { Some(rooms.seek(&held).await) });
                Vec::new()
            }
        }
    }

    async fn told(&self, done: Result<Option<Sought>, JoinError>) {
        let sought = match done {
            Ok(None) => return,
            Ok(Some(sought)) => sought,
            Err(error) => Sought { problem: Some(format!("it broke off: {error}")), ..Sought::default() },
        };
        let _ = self.events.send(Event::Sought(sought)).await;
    }
}

fn beats() -> Interval {
    let every = Duration::from_secs(PING_INTERVAL_S.into());
    let mut beats = interval_at(Instant::now() + every, every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

fn missed(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_secs() / u64::from(PING_INTERVAL_S)).unwrap_or(u32::MAX)
}

fn late(step: &'static str, after: Duration) -> RoomError {
    RoomError::Timeout { step, after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX) }
}

/// What the server says next; none where it is nothing for us. Cancel-safe.
async fn hear(socket: &mut RoomSocket) -> Result<Option<Heard>, RoomError> {
    let frame = socket.next().await.unwrap_or(Err(WsError::ConnectionClosed));
    match frame.map_err(|error| cut_error(&error))? {
        Frame::Binary(bytes) => match protocol::read(&bytes) {
            Ok(heard) => Ok(heard),
            Err(error) => {
                tracing::warn!(%error, "the dispatcher said what cannot be used");
                Ok(None)
            }
        },
        Frame::Close(close) => {
            let (code, reason) = close.map_or((1005, String::new()), |c| (c.code.into(), c.reason.to_string()));
            Err(RoomError::Closed { code, reason })
        }
        Frame::Ping(_) => {
            // The library has an answer ready, but it is us who flush it.
            socket.flush().await.map_err(|error| cut_error(&error))?;
            Ok(None)
        }
        Frame::Text(_) | Frame::Pong(_) | Frame::Frame(_) => Ok(None),
    }
}

async fn say(socket: &mut RoomSocket, message: Vec<u8>) -> Result<(), RoomError> {
    match timeout(STUCK, socket.send(Frame::binary(message))).await {
        Ok(sent) => sent.map_err(|error| cut_error(&error)),
        Err(_) => Err(late("dispatcher", STUCK)),
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
