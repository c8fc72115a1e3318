//! A participant in a LiveKit room, as a connection beneath the shared link: [`Joiner`] joins, [`Participant`] is there.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::PollSender;
use url::Url;

use super::api::ApiClient;
use super::calls::Calls;
use super::door::{Door, Knock};
use super::peer::PeerError;
use super::peers::Peers;
use super::proto::signal::{JoinResponse, signal_response};
use super::seen::{Act, Api, Joined, Seen};
use super::signal::Signal;
use super::stay::{Command, Sight, Stay};
use super::token::Key;
use crate::room::error::RoomError;
use crate::tls::Authorities;

/// So much waits between a stay and its reader, either way.
const WAITING: usize = 16;
/// A server that sends us elsewhere, and that one as well, goes round in a circle.
const MOST_SERVERS: usize = 3;

/// Joins a room, and again after a stay has ended.
pub(in crate::room) struct Joiner {
    door: Door,
    api: ApiClient,
    opens: Api,
    dual: bool,
    joined: bool,
    done: mpsc::UnboundedSender<Seen>,
    answers: Arc<Mutex<mpsc::UnboundedReceiver<Seen>>>,
}

impl Joiner {
    /// Checks URL and token. `url` is the server's, `ws://` or `wss://`.
    ///
    /// # Errors
    /// [`RoomError`]: all final.
    pub(in crate::room) fn new(
        url: &Url,
        key: Key,
        room_name: &str,
        authorities: &Authorities,
    ) -> Result<Self, RoomError> {
        let (done, answers) = mpsc::unbounded_channel();
        Ok(Self {
            opens: key.opens(),
            api: ApiClient::new(url, key.clone(), room_name, authorities)?,
            door: Door::new(url, room_name, key, authorities)?,
            dual: false,
            joined: false,
            done,
            answers: Arc::new(Mutex::new(answers)),
        })
    }

    /// Joins, within `limit`: data can come then.
    ///
    /// # Errors
    /// [`RoomError`], whose `is_final` says whether to try again.
    pub(in crate::room) async fn next(&mut self, limit: Duration) -> Result<Participant, RoomError> {
        let after_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        timeout(limit, self.join(limit)).await.unwrap_or(Err(RoomError::Timeout { step: "connection", after_ms }))
    }

    async fn join(&mut self, limit: Duration) -> Result<Participant, RoomError> {
        let mut door = self.door.clone();
        for _ in 0..MOST_SERVERS {
            let (signal, peers, join) = self.knock(&door, limit).await?;
            if join.alternative_url.is_empty() {
                return self.stay(door, signal, peers, join).await;
            }
            door.lead_to(&join.alternative_url)?;
            signal.close().await;
        }
        Err(RoomError::Unreachable { problem: "its servers send us to each other".to_owned() })
    }

    /// Asks for a session: over one connection, or, where the server does not know that yet, over two.
    async fn knock(&mut self, door: &Door, limit: Duration) -> Result<(Signal, Peers, Box<JoinResponse>), RoomError> {
        let webrtc = |error: PeerError| RoomError::Unreachable { problem: error.to_string() };
        if !self.dual {
            let (peers, offer) = Peers::single().map_err(webrtc)?;
            match door.knock(&Knock::Single { offer }, limit).await {
                Err(RoomError::Http { status: 404 }) => self.dual = true,
                Err(error) => return Err(error),
                Ok(mut signal) => {
                    let join = welcome(&mut signal).await?;
                    return Ok((signal, peers, join));
                }
            }
        }
        let knocked = door.knock(&Knock::Dual, limit).await;
        // It may be the room that the server does not know.
        self.dual = knocked.is_ok();
        let mut signal = knocked?;
        let join = welcome(&mut signal).await?;
        Ok((signal, Peers::dual().map_err(webrtc)?, join))
    }

    async fn stay(
        &mut self,
        door: Door,
        signal: Signal,
        peers: Peers,
        join: Box<JoinResponse>,
    ) -> Result<Participant, RoomError> {
        let (api, done) = (self.api.clone(), self.done.clone());
        let calls = Calls { api, done, answers: Arc::clone(&self.answers).lock_owned().await };
        let mut stay = Stay::new(door, signal, peers, &join, calls);
        stay.open().await?;
        let absent =
            |what: &str| RoomError::Welcome { problem: format!("the server's answer to the join has no {what}") };
        let joined = Joined {
            room: join.room.ok_or_else(|| absent("room"))?,
            me: join.participant.ok_or_else(|| absent("participant"))?,
            others: join.other_participants,
            again: std::mem::replace(&mut self.joined, true),
            api: self.opens,
        };
        let (sights, seen) = mpsc::channel(WAITING);
        let (commands, wanted) = mpsc::channel(WAITING);
        let task = tokio::spawn(stay.run(Seen::Joined(Box::new(joined)), sights, wanted));
        Ok(Participant { seen, commands: PollSender::new(commands), task })
    }
}

/// The first thing that a server says to one whom it lets in.
async fn welcome(signal: &mut Signal) -> Result<Box<JoinResponse>, RoomError> {
    loop {
        match signal.next().await? {
            signal_response::Message::Join(join) => return Ok(Box::new(join)),
            signal_response::Message::Leave(leave) => {
                return Err(RoomError::Cut { problem: format!("the server lets nobody in ({:?})", leave.reason()) });
            }
            _ => {}
        }
    }
}

/// A participant that is in the room. Dropping it cuts its connections.
pub(in crate::room) struct Participant {
    seen: mpsc::Receiver<Sight>,
    commands: PollSender<Command>,
    task: JoinHandle<()>,
}

/// What comes from a participant.
#[derive(Debug)]
pub(in crate::room) enum Word {
    /// It sees something.
    Seen(Box<Seen>),
    /// It answers a ping.
    Alive,
}

impl Participant {
    /// What comes next; `None` after it has left as it was told to.
    pub(in crate::room) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Word, RoomError>>> {
        self.seen.poll_recv(cx).map(|sight| {
            sight.map(|sight| match sight {
                Sight::Seen(seen) => Ok(Word::Seen(seen)),
                Sight::Alive => Ok(Word::Alive),
                Sight::Over(error) => Err(error),
            })
        })
    }

    /// Whether something can be asked of it.
    pub(in crate::room) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RoomError>> {
        self.commands.poll_reserve(cx).map_err(|_| gone())
    }

    /// Has it do something.
    pub(in crate::room) fn act(&mut self, act: Box<Act>) -> Result<(), RoomError> {
        self.command(Command::Act(act))
    }

    /// Asks whether it is there.
    pub(in crate::room) fn ping(&mut self) -> Result<(), RoomError> {
        self.command(Command::Ping)
    }

    /// Has it leave the room.
    pub(in crate::room) fn leave(&mut self) -> Result<(), RoomError> {
        self.command(Command::Leave)
    }

    fn command(&mut self, command: Command) -> Result<(), RoomError> {
        self.commands.send_item(command).map_err(|_| gone())
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn gone() -> RoomError {
    RoomError::Cut { problem: "we are not in it any more".to_owned() }
}
