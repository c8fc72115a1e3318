//! The sockets below the SIP stack: one port for UDP and TCP, checks on raw datagrams, and the way to a peer.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::platform::net::UdpSocket as StackSocket;
use rsipstack::sip::Transport;
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption, TransportEventInspector};
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportLayer};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::checks;
use super::refer::{Leg, USER_AGENT};
use super::stream::{Opener, Streams};
use super::uri::{Hop, HopTransport, Host};
use super::{SipError, Timing};
use crate::config::settings::SipTransport;

/// How long the name of a further peer may take to resolve before the REFER goes out without it.
const PEER_LOOKUP_TIME: Duration = Duration::from_secs(1);
/// The port of SIP where none is said (RFC 3261 section 19.1.2).
const DEFAULT_PORT: u16 = 5060;

/// The open sockets and the stack above them.
pub(super) struct Wire {
    pub(super) stack: EndpointInnerRef,
    streams: Arc<Streams>,
    listen: SocketAddr,
    cancel: CancellationToken,
    /// One connection at a time is opened to a peer, so that transfers at the same moment share it.
    dialling: Mutex<HashMap<SocketAddr, Arc<tokio::sync::Mutex<()>>>>,
}

/// A way to a peer that is ready to send.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) leg: Leg,
    pub(super) connection: SipConnection,
    pub(super) destination: SipAddr,
    pub(super) peer: SocketAddr,
}

impl Wire {
    /// Binds `listen` and starts to serve. Ends when dropped.
    pub(super) async fn open(
        listen: SocketAddr,
        timing: Timing,
        inspector: Box<dyn TransportEventInspector>,
    ) -> Result<(Self, TransactionReceiver), SipError> {
        let bind = |source| SipError::Bind { listen, source };
        let (udp, tcp) = bind_both(listen).await.map_err(bind)?;
        let bound = udp.local_addr().map_err(bind)?;
        let stack_error = |e: rsipstack::Error| SipError::Stack { detail: e.to_string() };

        let cancel = CancellationToken::new();
        let layer = TransportLayer::new(cancel.clone());
        let udp = UdpConnection::from_socket(Arc::new(CheckedSocket(udp)), None, Some(cancel.child_token()));
        layer.add_transport(udp.await.map_err(stack_error)?.into());
        let endpoint = EndpointBuilder::new()
            .with_user_agent(USER_AGENT)
            .with_cancel_token(cancel.clone())
            .with_transport_layer(layer)
            .with_transport_inspector(inspector)
            .with_option(EndpointOption {
                t1: timing.t1,
                t2: timing.t2,
                t1x64: timing.timer_f(),
                // A 2xx is acknowledged where its dialog's route set leads, which the stack does not check.
                auto_ack_2xx: false,
                ..EndpointOption::default()
            })
            .build();
        let incoming = endpoint.incoming_transactions().map_err(stack_error)?;
        let stack = endpoint.inner.clone();
        tokio::spawn(async move { endpoint.serve().await });
        let streams = Streams::new(stack.clone(), cancel.clone());
        tokio::spawn(accept(tcp, streams.clone(), cancel.clone()));
        Ok((Self { stack, streams, listen: bound, cancel, dialling: Mutex::default() }, incoming))
    }

    /// Where we listen.
    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Finds the way to `hop`, by `preferred` where the hop does not say.
    pub(super) async fn path(&self, hop: &Hop, preferred: SipTransport) -> Result<Path, String> {
        let transport = match hop.transport {
            HopTransport::Any => preferred,
            HopTransport::Plain(transport) => transport,
            HopTransport::Unsupported => {
                return Err("the peer's URI asks for a transport other than UDP and TCP".to_owned());
            }
        };
        let mut failure = format!("{} has no address that we can send to", hop.host);
        for peer in resolve(hop).await.map_err(|e| format!("{} did not resolve: {e}", hop.host))? {
            match self.path_to(peer, transport).await {
                Ok(path) => return Ok(path),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    /// The way to one address.
    pub(super) async fn path_to(&self, peer: SocketAddr, transport: SipTransport) -> Result<Path, String> {
        let local = self.local_for(peer).map_err(|e| format!("no route to {peer}: {e}"))?;
        let kind = match transport {
            SipTransport::Udp => Transport::Udp,
            SipTransport::Tcp => Transport::Tcp,
        };
        let destination = SipAddr::new(kind, peer.into());
        let (connection, destination) = match transport {
            SipTransport::Udp => self.stack.transport_layer.lookup(&destination, None).await.map_err(|e| e.to_string()),
            SipTransport::Tcp => self.stream_to(peer, &destination).await.map(|stream| (stream, destination)),
        }
        .map_err(|e| format!("no connection to {peer}: {e}"))?;
        Ok(Path { leg: Leg { transport, local }, connection, destination, peer })
    }

    /// The open stream to an address, or a new one.
    async fn stream_to(&self, peer: SocketAddr, destination: &SipAddr) -> Result<SipConnection, String> {
        let lock = self.dialling.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default().clone();
        let _guard = lock.lock().await;
        if let Some(open) = self.streams.get(destination) {
            return Ok(open);
        }
        let stream = TcpStream::connect(peer).await.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let served = self.streams.serve(stream, peer, Transport::Tcp, Opener::Us).await;
        served.map_err(|e| e.to_string())
    }

    /// Our address as `peer` sees it, as far as this host knows.
    fn local_for(&self, peer: SocketAddr) -> io::Result<SocketAddr> {
        let ip = if self.listen.ip().is_unspecified() {
            let probe = std::net::UdpSocket::bind((self.listen.ip(), 0))?;
            probe.connect(peer)?;
            probe.local_addr()?.ip()
        } else if self.listen.is_ipv4() == peer.is_ipv4() {
            self.listen.ip()
        } else {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "we listen on the other IP version"));
        };
        Ok(SocketAddr::new(ip, self.listen.port()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The addresses behind a hop, best first.
pub(super) async fn resolve(hop: &Hop) -> io::Result<Vec<SocketAddr>> {
    let port = hop.port.unwrap_or(DEFAULT_PORT);
    match &hop.host {
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => Ok(tokio::net::lookup_host((name.as_str(), port)).await?.collect()),
    }
}

/// The addresses that a hop may send from; a name that does not resolve soon adds none.
pub(super) async fn addresses(hop: &Hop) -> Vec<IpAddr> {
    match tokio::time::timeout(PEER_LOOKUP_TIME, resolve(hop)).await {
        Ok(Ok(found)) => found.iter().map(SocketAddr::ip).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// RFC 3261 section 18.2.1: an element listens on UDP and TCP of one port.
async fn bind_both(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = if listen.port() == 0 { 32 } else { 1 };
    loop {
        let udp = UdpSocket::bind(listen).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            // The free UDP port is taken on TCP: the next one may not be.
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && tries > 1 => tries -= 1,
            Err(e) => return Err(e),
        }
    }
}

async fn accept(listener: TcpListener, streams: Arc<Streams>, cancel: CancellationToken) {
    while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
        let served = match accepted {
            Ok((stream, peer)) => streams.serve(stream, peer, Transport::Tcp, Opener::Peer).await,
            Err(error) => {
                debug!(%error, "a SIP connection was not accepted");
                // Out of file descriptors: wait until some are free instead of spinning.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = served {
            debug!(%error, "a SIP connection was closed at once");
        }
    }
}

/// A UDP socket that hands only plausible datagrams to the stack, whose parser would cut or skip what it cannot read.
struct CheckedSocket(UdpSocket);

type StackFuture<'a, T> = Pin<Box<dyn Future<Output = rsipstack::Result<T>> + Send + 'a>>;

impl StackSocket for CheckedSocket {
    fn recv_from<'s, 'b, 'a>(&'s self, buf: &'b mut [u8]) -> StackFuture<'a, (usize, SocketAddr)>
    where
        's: 'a,
        'b: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            loop {
                let (len, from) = match self.0.recv_from(buf).await {
                    // What fills the buffer was longer, and cut.
                    Ok((len, from)) if len == buf.len() => {
                        debug!(%from, "a datagram was dropped: too long");
                        continue;
                    }
                    Ok(received) => received,
                    Err(error) => {
                        debug!(%error, "nothing was received");
                        tokio::task::yield_now().await;
                        continue;
                    }
                };
                match checks::datagram(&buf[..len]) {
                    Ok(None) => return Ok((len, from)),
                    Ok(Some(repaired)) if repaired.len() <= buf.len() => {
                        buf[..repaired.len()].copy_from_slice(&repaired);
                        return Ok((repaired.len(), from));
                    }
                    Ok(Some(_)) => debug!(%from, "a datagram was dropped: too long"),
                    Err(problem) => debug!(%from, %problem, "a datagram was dropped"),
                }
            }
        })
    }

    fn send_to<'s, 'b, 'a>(&'s self, buf: &'b [u8], addr: SocketAddr) -> StackFuture<'a, usize>
    where
        's: 'a,
        'b: 'a,
        Self: 'a,
    {
        Box::pin(async move { Ok(self.0.send_to(buf, addr).await?) })
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }
}
