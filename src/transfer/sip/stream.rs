//! SIP over byte streams: our own reader and writer around each, with our checks before the stack's parser. To the stack
//! a stream is a channel of whole messages, whatever carries it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsipstack::sip::{SipMessage, Transport};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::connection::TransportSender;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::checks::{Frame, Framer};

/// Most streams at once, both ways.
const MAX_STREAMS: usize = 256;
/// Most streams that one address may open.
const MAX_OF_ADDRESS: usize = 64;
/// How long a stream that was opened to us may be silent.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// How long one that we opened may be silent: longer than a transfer may take.
const OWN_IDLE_TIME: Duration = Duration::from_secs(900);
/// How often a TLS stream says that it lives (RFC 5626 section 3.5.1). Peers close what is idle for a minute or two, and
/// over TLS they cannot call back.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a stream that was opened to us may take to its first message, and any stream from a message's first byte
/// to its last.
const MESSAGE_TIME: Duration = Duration::from_secs(10);
/// How long the peer may take to take what we write.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Messages that wait to be written; who sends more waits too.
const WRITE_QUEUE: usize = 64;
/// Messages that a stream may bring each second; the rest waits at the peer.
const MAX_PER_SECOND: u32 = 1000;
/// So many things that are no messages end a stream.
const MAX_SKIPPED: u32 = 16;

/// Who opened a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    Us,
    Peer,
}

/// Why a stream is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unserved {
    #[error("there are too many streams")]
    TooMany,
    #[error("the SIP stack refuses it: {0}")]
    Stack(#[from] rsipstack::Error),
}

/// The open streams.
pub(super) struct Streams {
    stack: EndpointInnerRef,
    cancel: CancellationToken,
    open: Mutex<BTreeMap<SipAddr, Open>>,
}

struct Open {
    connection: SipConnection,
    closed: CancellationToken,
    opener: Opener,
    ip: IpAddr,
    heard: Instant,
}

impl Streams {
    /// None yet; all that will be end with `cancel`.
    pub(super) fn new(stack: EndpointInnerRef, cancel: CancellationToken) -> Arc<Self> {
        Arc::new(Self { stack, cancel, open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SipAddr, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open stream to a peer.
    pub(super) fn get(&self, peer: &SipAddr) -> Option<SipConnection> {
        self.lock().get(peer).filter(|open| !open.closed.is_cancelled()).map(|open| open.connection.clone())
    }

    /// Serves a stream until it ends, which cancels the connection's token.
    ///
    /// # Errors
    /// [`Unserved`] when there are too many already.
    pub(super) async fn serve<S>(
        self: &Arc<Self>,
        stream: S,
        peer: SocketAddr,
        transport: Transport,
        opener: Opener,
    ) -> Result<SipConnection, Unserved>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let remote = SipAddr::new(transport, peer.into());
        let closed = self.cancel.child_token();
        let (to_stack, from_peer) = mpsc::unbounded_channel();
        let (to_peer, outgoing) = mpsc::channel(WRITE_QUEUE);
        let channel =
            ChannelConnection::create_connection_bounded(from_peer, to_peer, remote.clone(), Some(closed.clone()));
        let connection = SipConnection::Channel(channel.await?);
        self.admit(
            &remote,
            Open {
                connection: connection.clone(),
                closed: closed.clone(),
                opener,
                ip: peer.ip(),
                heard: Instant::now(),
            },
        )?;
        self.stack.transport_layer.add_connection(connection.clone());
        let (read, write) = tokio::io::split(stream);
        let (pings, pinged) = mpsc::channel(1);
        let reader = Reader {
            streams: self.clone(),
            remote: remote.clone(),
            peer,
            connection: connection.clone(),
            to_stack,
            pings,
            spoke: opener == Opener::Us,
            idle: if opener == Opener::Us { OWN_IDLE_TIME } else { IDLE_TIME },
            skipped: 0,
            second: (Instant::now(), 0),
        };
        let streams = self.clone();
        tokio::spawn(async move {
            let why = tokio::select! {
                why = reader.run(read) => why,
                why = write_all(write, outgoing, pinged, (transport == Transport::Tls).then_some(KEEP_ALIVE)) => why,
                () = closed.cancelled() => "we closed it",
            };
            debug!(%peer, why, "a SIP stream ended");
            closed.cancel();
            streams.lock().retain(|_, open| !open.closed.is_cancelled());
        });
        Ok(connection)
    }

    /// Takes a stream in; when all places are taken, the quietest that was opened to us gives its own up.
    fn admit(&self, remote: &SipAddr, new: Open) -> Result<(), Unserved> {
        let mut open = self.lock();
        let of_address = open.values().filter(|o| o.opener == Opener::Peer && o.ip == new.ip).count();
        if new.opener == Opener::Peer && of_address >= MAX_OF_ADDRESS {
            return Err(Unserved::TooMany);
        }
        if open.len() >= MAX_STREAMS {
            let theirs = open.iter().filter(|(_, o)| o.opener == Opener::Peer);
            let quietest = theirs.min_by_key(|(_, o)| o.heard).map(|(remote, _)| remote.clone());
            let evicted = quietest.and_then(|remote| open.remove(&remote)).ok_or(Unserved::TooMany)?;
            evicted.closed.cancel();
        }
        if let Some(old) = open.insert(remote.clone(), new) {
            old.closed.cancel();
        }
        Ok(())
    }

    fn heard(&self, remote: &SipAddr) {
        if let Some(open) = self.lock().get_mut(remote) {
            open.heard = Instant::now();
        }
    }
}

/// The reading side of a stream.
struct Reader {
    streams: Arc<Streams>,
    remote: SipAddr,
    peer: SocketAddr,
    connection: SipConnection,
    to_stack: TransportSender,
    pings: mpsc::Sender<()>,
    /// Whether it has brought a message, or need not.
    spoke: bool,
    idle: Duration,
    skipped: u32,
    /// The second under way and how many messages it brought.
    second: (Instant, u32),
}

impl Reader {
    /// Reads until the stream ends, and says why.
    async fn run<S: AsyncRead>(mut self, mut stream: ReadHalf<S>) -> &'static str {
        let mut framer = Framer::default();
        let mut chunk = vec![0; 4096];
        let mut patience = Instant::now() + if self.spoke { self.idle } else { MESSAGE_TIME };
        loop {
            let amid = framer.is_amid();
            let len = match timeout_at(patience, stream.read(&mut chunk)).await {
                Ok(Ok(0)) => return "the peer closed it",
                Ok(Ok(len)) => len,
                Ok(Err(_)) => return "it broke",
                Err(_) => return "the peer took too long",
            };
            framer.push(&chunk[..len]);
            let mut whole = false;
            loop {
                match framer.frame() {
                    Ok(None) => break,
                    Ok(Some(frame)) => whole |= self.take(frame).await,
                    Err(problem) => {
                        debug!(peer = %self.peer, %problem, "a SIP stream is out of step");
                        return "what it brings is no SIP";
                    }
                }
                if self.skipped > MAX_SKIPPED {
                    return "much of what it brings is no SIP";
                }
            }
            self.spoke |= whole;
            if framer.is_amid() && (whole || !amid) && self.spoke {
                patience = Instant::now() + MESSAGE_TIME;
            } else if !framer.is_amid() && self.spoke {
                patience = Instant::now() + self.idle;
            }
        }
    }

    /// Passes a frame on; true when it is a message.
    async fn take(&mut self, frame: Frame) -> bool {
        let bytes = match frame {
            Frame::Message(bytes) => bytes,
            Frame::Ping => {
                // One answer that waits answers all.
                self.pings.try_send(()).ok();
                return false;
            }
            Frame::Skipped(problem) => {
                debug!(peer = %self.peer, %problem, "a message was dropped");
                self.skipped += 1;
                return false;
            }
        };
        self.pace().await;
        let transport = self.remote.r#type.unwrap_or(Transport::Tcp);
        let parsed = SipMessage::try_from(&bytes[..])
            .map_err(rsipstack::Error::from)
            .and_then(|message| SipConnection::update_msg_received(message, self.peer, transport));
        let Ok(message) = parsed else {
            debug!(peer = %self.peer, "a message that does not parse was dropped");
            self.skipped += 1;
            return false;
        };
        self.streams.heard(&self.remote);
        let event = TransportEvent::Incoming(message, self.connection.clone(), self.remote.clone());
        // The stack is gone only with the whole agent, which ends this task too.
        self.to_stack.send(event).is_ok()
    }

    /// Waits where the peer is too quick.
    async fn pace(&mut self) {
        let (since, count) = &mut self.second;
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > MAX_PER_SECOND {
            sleep_until(*since + Duration::from_secs(1)).await;
        }
    }
}

/// Writes what the stack sends, and answers pings, until the stream ends; says why.
async fn write_all<S: AsyncWrite>(
    mut stream: WriteHalf<S>,
    mut outgoing: mpsc::Receiver<TransportEvent>,
    mut pings: mpsc::Receiver<()>,
    keep_alive: Option<Duration>,
) -> &'static str {
    loop {
        let quiet = async {
            match keep_alive {
                Some(every) => sleep(every).await,
                None => std::future::pending().await,
            }
        };
        let bytes = tokio::select! {
            event = outgoing.recv() => match event {
                Some(TransportEvent::Incoming(message, _, _)) => message.to_bytes(),
                Some(TransportEvent::New(_) | TransportEvent::Closed(_)) => continue,
                None => return "nobody uses it",
            },
            Some(()) = pings.recv() => b"\r\n".to_vec(),
            () = quiet => b"\r\n\r\n".to_vec(),
        };
        let written = timeout(WRITE_TIME, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "it broke",
            Err(_) => return "the peer does not read",
        }
    }
}
