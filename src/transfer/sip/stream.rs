//! SIP over byte streams: our own reader and writer around each, with our checks before the stack's parser. To the stack
//! a stream is a channel of whole messages, whatever carries it.

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
/// How long a stream may be silent; longer than a transfer takes.
const IDLE_TIME: Duration = Duration::from_secs(900);
/// How long a stream that was opened to us may take to its first message, and any stream from a message's first byte
/// to its last.
const MESSAGE_TIME: Duration = Duration::from_secs(10);
/// How long the peer may take to take what we write.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// How often a stream that we opened says that it lives (RFC 5626 section 3.5.1): it is how the peer reaches us.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
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
    Stack(#[source] Box<rsipstack::Error>),
}

/// The open streams.
pub(super) struct Streams {
    stack: EndpointInnerRef,
    cancel: CancellationToken,
    open: Mutex<Vec<Open>>,
}

struct Open {
    remote: SipAddr,
    ip: IpAddr,
    opener: Opener,
    connection: SipConnection,
    closed: CancellationToken,
    /// When its last message came.
    heard: Arc<Mutex<Instant>>,
}

impl Streams {
    /// None yet; all that will be end with `cancel`.
    pub(super) fn new(stack: EndpointInnerRef, cancel: CancellationToken) -> Arc<Self> {
        Arc::new(Self { stack, cancel, open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open stream to a peer.
    pub(super) fn get(&self, peer: &SipAddr) -> Option<SipConnection> {
        let found = self.lock();
        let found = found.iter().rfind(|open| open.remote == *peer && !open.closed.is_cancelled());
        found.map(|open| open.connection.clone())
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
        // A socket of `[::]` shows an IPv4 peer as a mapped address.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let remote = SipAddr::new(transport, peer.into());
        let closed = self.cancel.child_token();
        let (to_stack, from_peer) = mpsc::unbounded_channel();
        let (to_peer, outgoing) = mpsc::channel(WRITE_QUEUE);
        let channel =
            ChannelConnection::create_connection_bounded(from_peer, to_peer, remote.clone(), Some(closed.clone()));
        let connection = SipConnection::Channel(channel.await.map_err(|e| Unserved::Stack(Box::new(e)))?);
        let heard = Arc::new(Mutex::new(Instant::now()));
        self.admit(Open {
            remote: remote.clone(),
            ip: peer.ip(),
            opener,
            connection: connection.clone(),
            closed: closed.clone(),
            heard: heard.clone(),
        })?;
        self.stack.transport_layer.add_connection(connection.clone());
        let (read, write) = tokio::io::split(stream);
        let (pings, pinged) = mpsc::channel(1);
        let reader = Reader {
            remote,
            peer,
            heard,
            connection: connection.clone(),
            to_stack,
            pings,
            spoke: opener == Opener::Us,
            skipped: 0,
            second: (Instant::now(), 0),
        };
        let streams = self.clone();
        tokio::spawn(async move {
            let why = tokio::select! {
                why = reader.run(read) => why,
                why = write_all(write, outgoing, pinged, (opener == Opener::Us).then_some(KEEP_ALIVE)) => why,
                () = closed.cancelled() => "we closed it",
            };
            debug!(%peer, why, "a SIP stream ended");
            closed.cancel();
            streams.lock().retain(|open| !open.closed.is_cancelled());
        });
        Ok(connection)
    }

    /// Takes a stream in; when all places are taken, the quietest that was opened to us gives its own up.
    fn admit(&self, new: Open) -> Result<(), Unserved> {
        let mut open = self.lock();
        let theirs = || open.iter().enumerate().filter(|(_, open)| open.opener == Opener::Peer);
        if new.opener == Opener::Peer && theirs().filter(|(_, open)| open.ip == new.ip).count() >= MAX_OF_ADDRESS {
            return Err(Unserved::TooMany);
        }
        if open.len() >= MAX_STREAMS {
            let quietest = theirs().min_by_key(|(_, open)| open.heard()).map(|(at, _)| at).ok_or(Unserved::TooMany)?;
            open.swap_remove(quietest).closed.cancel();
        }
        open.push(new);
        Ok(())
    }
}

impl Open {
    fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading side of a stream.
struct Reader {
    remote: SipAddr,
    peer: SocketAddr,
    heard: Arc<Mutex<Instant>>,
    connection: SipConnection,
    to_stack: TransportSender,
    pings: mpsc::Sender<()>,
    /// Whether it has brought a message, or need not.
    spoke: bool,
    skipped: u32,
    /// The second under way and how many messages it brought.
    second: (Instant, u32),
}

impl Reader {
    /// Reads until the stream ends, and says why.
    async fn run<S: AsyncRead>(mut self, mut stream: ReadHalf<S>) -> &'static str {
        let mut framer = Framer::default();
        let mut chunk = vec![0; 4096];
        let mut patience = Instant::now() + if self.spoke { IDLE_TIME } else { MESSAGE_TIME };
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
                patience = Instant::now() + IDLE_TIME;
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
        let parsed = SipMessage::try_from(&bytes[..]).ok();
        let received = parsed.and_then(|m| SipConnection::update_msg_received(m, self.peer, transport).ok());
        let Some(message) = received else {
            debug!(peer = %self.peer, "a message that does not parse was dropped");
            self.skipped += 1;
            return false;
        };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
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

/// Writes what the stack sends, answers pings, and keeps alive what else would be silent, until the stream ends; says why.
async fn write_all<S: AsyncWrite>(
    mut stream: WriteHalf<S>,
    mut outgoing: mpsc::Receiver<TransportEvent>,
    mut pings: mpsc::Receiver<()>,
    keep_alive: Option<Duration>,
) -> &'static str {
    loop {
        let bytes = tokio::select! {
            event = outgoing.recv() => match event {
                Some(TransportEvent::Incoming(message, _, _)) => message.to_bytes(),
                Some(TransportEvent::New(_) | TransportEvent::Closed(_)) => continue,
                None => return "nobody uses it",
            },
            Some(()) = pings.recv() => b"\r\n".to_vec(),
            () = sleep(keep_alive.unwrap_or_default()), if keep_alive.is_some() => b"\r\n\r\n".to_vec(),
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use rsipstack::EndpointBuilder;
    use tokio::io::DuplexStream;

    use super::*;

    /// A stream that `opener` opens, by its other end.
    async fn open(streams: &Arc<Streams>, peer: &str, opener: Opener) -> Result<DuplexStream, Unserved> {
        let (ours, theirs) = tokio::io::duplex(100);
        streams.serve(ours, peer.parse().unwrap(), Transport::Tcp, opener).await?;
        // Each is heard of at another time.
        tokio::time::advance(Duration::from_millis(1)).await;
        Ok(theirs)
    }

    fn is_closed(stream: &mut DuplexStream) -> bool {
        use futures_util::FutureExt as _;
        stream.read(&mut [0]).now_or_never().is_some_and(|read| read.unwrap() == 0)
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_places_are_taken_the_quietest_that_a_peer_opened_gives_its_own_up() {
        let endpoint = EndpointBuilder::new().build();
        let streams = Streams::new(endpoint.inner.clone(), CancellationToken::new());
        let mut ours = open(&streams, "10.1.0.1:5060", Opener::Us).await.unwrap();
        let mut theirs = Vec::new();
        for n in 1..MAX_STREAMS {
            let peer = format!("10.0.0.{}:{}", n / MAX_OF_ADDRESS, 1000 + n);
            theirs.push(open(&streams, &peer, Opener::Peer).await.unwrap());
        }
        // One address has what it may have, whether there are places left or not.
        assert!(matches!(open(&streams, "10.0.0.1:1", Opener::Peer).await, Err(Unserved::TooMany)));
        assert!(!theirs.iter_mut().any(is_closed));

        let mut late = open(&streams, "10.0.1.1:1000", Opener::Peer).await.unwrap();
        assert!(is_closed(&mut theirs[0]), "the first that a peer opened");
        let mut ours_too = open(&streams, "10.1.0.2:5060", Opener::Us).await.unwrap();
        assert!(is_closed(&mut theirs[1]), "what we need goes before what others want");
        assert!(!theirs[2..].iter_mut().any(is_closed));
        assert!(![&mut ours, &mut late, &mut ours_too].into_iter().any(is_closed));
        assert_eq!(streams.lock().len(), MAX_STREAMS);
    }
}
