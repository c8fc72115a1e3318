//! The sockets below the SIP stack: one port for UDP and TCP, checks on raw datagrams, and the way to a peer.
//!
//! Over TLS nobody can call us back, as we have no certificate to listen with: requests of the peer, NOTIFY above all,
//! come over the connection that we opened (in the manner of RFC 5923). So Via and Contact name that connection's own
//! address, and all that goes to the same peer shares it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
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
use super::message::{Leg, USER_AGENT};
use super::resolve::{Directory, Target};
use super::secure::{Secured, Tls};
use super::stream::{Opener, Streams};
use super::uri::{Hop, Host};
use super::{MAX_DEADLINE, SipError, Timing};
use crate::config::settings::{Sip, SipTransport};

/// How long one target may take to be connected, TLS included, before the next one is tried.
const DIAL_TIME: Duration = Duration::from_secs(5);

/// The open sockets and the stack above them.
pub(super) struct Wire {
    pub(super) stack: EndpointInnerRef,
    streams: Arc<Streams>,
    listen: SocketAddr,
    preferred: SipTransport,
    timing: Timing,
    directory: Directory,
    tls: Tls,
    cancel: CancellationToken,
    /// One connection at a time is opened to a peer, so that transfers at the same moment share it; with those over TLS
    /// that are open.
    dialling: Mutex<HashMap<SocketAddr, Arc<tokio::sync::Mutex<Vec<Secured>>>>>,
}

/// A way to a peer that is ready to send.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) leg: Leg,
    pub(super) connection: SipConnection,
    pub(super) destination: SipAddr,
    pub(super) peer: SocketAddr,
    /// The hop's host, which a certificate must name.
    host: Host,
    /// Whether the peer was asked for a stream, for what is too large for a datagram, and took none.
    pub(super) takes_no_stream: bool,
    /// Where else the hop can be found, best first.
    spare: VecDeque<Target>,
}

impl Path {
    /// Whether the peer has proved who it is.
    pub(super) fn is_secure(&self) -> bool {
        self.leg.transport == SipTransport::Tls
    }

    /// Whether the hop can be found elsewhere too.
    pub(super) fn has_spare(&self) -> bool {
        !self.spare.is_empty()
    }
}

impl Wire {
    /// Binds `sentimentSipListen` and starts to serve. Ends when dropped.
    pub(super) async fn open(
        settings: &Sip,
        timing: Timing,
        inspector: Box<dyn TransportEventInspector>,
    ) -> Result<(Self, TransactionReceiver), SipError> {
        let listen = settings.listen;
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
                // A phone may ring as long as a transfer may take; who gives up on it sooner cancels its INVITE.
                timerc: MAX_DEADLINE + timing.timer_f(),
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
        let wire = Self {
            stack,
            streams,
            listen: bound,
            preferred: settings.transport,
            timing,
            directory: Directory::new(settings.nameserver),
            tls: Tls::new(settings.ca_file.clone()),
            cancel,
            dialling: Mutex::default(),
        };
        Ok((wire, incoming))
    }

    /// Where we listen.
    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// How long a datagram may stay without any answer before another target is tried: four sendings, 4 s by default.
    pub(super) fn patience(&self) -> Duration {
        self.timing.t1 * 8
    }

    /// Finds the way to `hop`: to the first of its targets (RFC 3263) that can be reached, by `preferred` where neither
    /// the hop nor DNS says.
    pub(super) async fn path(&self, hop: &Hop, preferred: SipTransport) -> Result<Path, String> {
        let targets = self.targets(hop, preferred).await?;
        self.first_of(targets.into(), &hop.host).await
    }

    /// The targets of `hop`, best first, by `preferred` where neither the hop nor DNS says.
    pub(super) async fn targets(&self, hop: &Hop, preferred: SipTransport) -> Result<Vec<Target>, String> {
        self.directory.targets(hop, preferred).await
    }

    /// The way to the next target of the same hop that can be reached.
    pub(super) async fn elsewhere(&self, path: &Path) -> Result<Path, String> {
        self.first_of(path.spare.clone(), &path.host).await
    }

    /// The same target by TCP, for what is too large for a datagram.
    pub(super) async fn by_stream(&self, path: &Path) -> Result<Path, String> {
        let target = Target { address: path.peer, transport: SipTransport::Tcp };
        let stream = self.path_to(target, &path.host).await?;
        Ok(Path { spare: path.spare.clone(), ..stream })
    }

    /// Where hops may send from, looked up all at once; a name that does not resolve soon adds nothing.
    pub(super) async fn addresses_of(&self, hops: impl Iterator<Item = &Hop>) -> Vec<SocketAddr> {
        join_all(hops.map(|hop| self.directory.addresses(hop, self.preferred))).await.concat()
    }

    async fn first_of(&self, mut targets: VecDeque<Target>, host: &Host) -> Result<Path, String> {
        let mut failure = format!("{host} has no address that we can send to");
        while let Some(target) = targets.pop_front() {
            match tokio::time::timeout(DIAL_TIME, self.path_to(target, host)).await {
                Ok(Ok(path)) => return Ok(Path { spare: targets, ..path }),
                Ok(Err(problem)) => failure = problem,
                Err(_) => failure = format!("no connection to {} in {} s", target.address, DIAL_TIME.as_secs()),
            }
            debug!(problem = failure, left = targets.len(), "a SIP target cannot be reached");
        }
        Err(failure)
    }

    /// The way to one target.
    async fn path_to(&self, target: Target, host: &Host) -> Result<Path, String> {
        let Target { address: peer, transport } = target;
        let local = self.local_for(peer).map_err(|e| format!("no route to {peer}: {e}"))?;
        let kind = match transport {
            SipTransport::Udp => Transport::Udp,
            SipTransport::Tcp => Transport::Tcp,
            SipTransport::Tls => Transport::Tls,
        };
        let destination = SipAddr::new(kind, peer.into());
        let (connection, local) = match transport {
            SipTransport::Udp => {
                let found = self.stack.transport_layer.lookup(&destination, None).await;
                found.map(|(connection, _)| (connection, local)).map_err(|e| e.to_string())
            }
            SipTransport::Tcp => self.stream_to(peer, &destination).await.map(|stream| (stream, local)),
            SipTransport::Tls => self.secured_to(peer, host).await,
        }
        .map_err(|e| format!("no connection to {peer} over {}: {e}", transport.name()))?;
        let (host, spare) = (host.clone(), VecDeque::new());
        Ok(Path { leg: Leg { transport, local }, connection, destination, peer, host, takes_no_stream: false, spare })
    }

    /// Lets one at a time open a connection to `peer`.
    fn dialling(&self, peer: SocketAddr) -> Arc<tokio::sync::Mutex<Vec<Secured>>> {
        self.dialling.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default().clone()
    }

    /// The open stream to an address, or a new one.
    async fn stream_to(&self, peer: SocketAddr, destination: &SipAddr) -> Result<SipConnection, String> {
        let lock = self.dialling(peer);
        let _guard = lock.lock().await;
        if let Some(open) = self.streams.get(destination) {
            return Ok(open);
        }
        let stream = TcpStream::connect(peer).await.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let served = self.streams.serve(stream, peer, Transport::Tcp, Opener::Us).await;
        served.map_err(|e| e.to_string())
    }

    /// The open connection to an address that proved to be `host`, or a new one; with its own address.
    async fn secured_to(&self, peer: SocketAddr, host: &Host) -> Result<(SipConnection, SocketAddr), String> {
        let lock = self.dialling(peer);
        let mut open = lock.lock().await;
        open.retain(Secured::is_alive);
        if let Some(found) = open.iter().find(|secured| secured.host == *host) {
            return Ok((found.connection.clone(), found.local));
        }
        let (stream, local) = self.tls.dial(peer, host).await?;
        let served = self.streams.serve(stream, peer, Transport::Tls, Opener::Us).await;
        let connection = served.map_err(|e| e.to_string())?;
        open.push(Secured { host: host.clone(), connection: connection.clone(), local });
        Ok((connection, local))
    }

    /// Our address as `peer` sees it, as far as this host knows. `[::]` speaks IPv4 too.
    fn local_for(&self, peer: SocketAddr) -> io::Result<SocketAddr> {
        let listen = self.listen.ip();
        let ip = if listen.is_unspecified() && (listen.is_ipv6() || peer.is_ipv4()) {
            let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let probe = std::net::UdpSocket::bind((any, 0))?;
            probe.connect(peer)?;
            probe.local_addr()?.ip()
        } else if listen.is_ipv4() == peer.is_ipv4() {
            listen
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
                // A socket of `[::]` shows an IPv4 peer as a mapped address.
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
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
        Box::pin(async move {
            let to = match (addr, self.0.local_addr()?) {
                (SocketAddr::V4(v4), SocketAddr::V6(_)) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
                _ => addr,
            };
            Ok(self.0.send_to(buf, to).await?)
        })
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::super::inbox::{Gate, Inbox};
    use super::*;
    use crate::config::settings::Settings;

    #[tokio::test]
    async fn the_stack_gives_up_on_no_phone_that_may_still_ring() {
        let settings = Sip { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Settings::default().sip };
        let gate = Box::new(Gate(Arc::new(Inbox::default())));
        let (wire, _incoming) = Wire::open(&settings, Timing::default(), gate).await.unwrap();
        assert!(wire.stack.option.timerc > MAX_DEADLINE);
    }
}
