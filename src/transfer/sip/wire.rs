//! The sockets below the SIP stack: one port for UDP and TCP, checks on raw datagrams, and the way to a peer.
//!
//! Over TLS nobody can call us back, as we have no certificate to listen with: requests of the peer, NOTIFY above all,
//! come over the connection that we opened (in the manner of RFC 5923). So Via and Contact name that connection's own
//! address, it is shared by all that goes to the same peer, and it is kept alive.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::platform::net::UdpSocket as StackSocket;
use rsipstack::sip::Transport;
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption, TransportEventInspector};
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportLayer};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::refer::{Leg, USER_AGENT};
use super::resolve::{Directory, Target};
use super::secure::{Secured, Tls};
use super::uri::{Hop, Host};
use super::{SipError, Timing};
use crate::config::settings::{Sip, SipTransport};

/// Most stream connections at once, both ways.
const MAX_CONNECTIONS: usize = 256;
/// How long one target may take to be connected, TLS included, before the next one is tried.
const DIAL_TIME: Duration = Duration::from_secs(5);
/// A stream that says nothing for so long is closed; longer than a transfer may take.
const IDLE_TIME: Duration = Duration::from_secs(900);

/// The open sockets and the stack above them.
pub(super) struct Wire {
    pub(super) stack: EndpointInnerRef,
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
        layer.set_stream_idle_timeout(IDLE_TIME);
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
                ..EndpointOption::default()
            })
            .build();
        let incoming = endpoint.incoming_transactions().map_err(stack_error)?;
        let stack = endpoint.inner.clone();
        tokio::spawn(async move { endpoint.serve().await });
        tokio::spawn(accept(tcp, bound, stack.clone(), cancel.clone()));
        let wire = Self {
            stack,
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

    /// Finds the way to `hop`: to the first of its targets (RFC 3263) that can be reached.
    pub(super) async fn path(&self, hop: &Hop) -> Result<Path, String> {
        let targets = self.directory.targets(hop, self.preferred).await?;
        self.first_of(targets.into(), &hop.host).await
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

    /// The addresses that a hop may send from; a name that does not resolve soon adds none.
    pub(super) async fn addresses(&self, hop: &Hop) -> Vec<IpAddr> {
        self.directory.addresses(hop, self.preferred).await
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
        let lock = self.dialling.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default().clone();
        let mut secured = lock.lock().await;
        let (connection, local) = if transport == SipTransport::Tls {
            let secured = self.secured(&mut secured, peer, &destination, host).await;
            secured.map_err(|e| format!("no TLS connection to {peer}: {e}"))?
        } else {
            let found = self.stack.transport_layer.lookup(&destination, None).await;
            (found.map_err(|e| format!("no connection to {peer}: {e}"))?.0, local)
        };
        let spare = VecDeque::new();
        Ok(Path { leg: Leg { transport, local }, connection, destination, peer, host: host.clone(), spare })
    }

    /// The connection to `peer` that proved to be `host`, opened if there is none.
    async fn secured(
        &self,
        open: &mut Vec<Secured>,
        peer: SocketAddr,
        destination: &SipAddr,
        host: &Host,
    ) -> Result<(SipConnection, SocketAddr), String> {
        open.retain(Secured::is_alive);
        let found = match open.iter().find(|secured| secured.host == *host) {
            Some(secured) => secured,
            None => {
                let secured = self.tls.dial(peer, destination, host, self.cancel.child_token()).await?;
                self.stack.transport_layer.add_connection(secured.connection.clone());
                secured.keep_alive();
                open.push(secured);
                &open[open.len() - 1]
            }
        };
        Ok((found.connection.clone(), found.local))
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

async fn accept(listener: TcpListener, listen: SocketAddr, stack: EndpointInnerRef, cancel: CancellationToken) {
    let local = SipAddr::new(Transport::Tcp, listen.into());
    while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "a SIP connection was not accepted");
                // Out of file descriptors: wait until some are free instead of spinning.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if stack.transport_layer.connections_count() >= MAX_CONNECTIONS {
            debug!("too many SIP connections; one more was closed");
            continue;
        }
        match TcpConnection::from_stream(stream, local.clone(), Some(cancel.child_token())) {
            Ok(connection) => stack.transport_layer.add_connection(SipConnection::Tcp(connection)),
            Err(error) => debug!(%error, "a SIP connection was closed at once"),
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
                    Ok(received) => received,
                    Err(error) => {
                        debug!(%error, "nothing was received");
                        tokio::task::yield_now().await;
                        continue;
                    }
                };
                // A socket of `[::]` shows an IPv4 peer as a mapped address.
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                match checked(&buf[..len]) {
                    Ok(None) => return Ok((len, from)),
                    Ok(Some(repaired)) if repaired.len() <= buf.len() => {
                        buf[..repaired.len()].copy_from_slice(&repaired);
                        return Ok((repaired.len(), from));
                    }
                    Ok(Some(_)) => debug!(%from, "a datagram was dropped: too long"),
                    Err(problem) => debug!(%from, problem, "a datagram was dropped"),
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

/// Checks a datagram; `Some` is the same with the Content-Length that it lacked, which over UDP is optional
/// (RFC 3261 section 18.3) and which the stack takes for 0.
fn checked(datagram: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if datagram.iter().all(u8::is_ascii_whitespace) {
        return Ok(None); // a keep-alive, which the stack answers
    }
    let head_len = datagram.windows(4).position(|w| w == b"\r\n\r\n").ok_or("its header does not end")?;
    let (head, body) = (&datagram[..head_len], &datagram[head_len + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| "its header is not UTF-8")?;
    if head.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) {
        return Err("its header holds control characters");
    }
    let mut lengths = head.lines().skip(1).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l")).then(|| value.trim())
    });
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Err("it has two Content-Lengths"),
        (Some(length), None) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            match length.parse::<usize>() {
                Ok(length) if length <= body.len() => Ok(None),
                _ => Err("its body is shorter than its Content-Length"),
            }
        }
        (Some(_), None) => Err("its Content-Length is no number"),
        (None, _) => {
            let mut whole = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            whole.extend_from_slice(body);
            Ok(Some(whole))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn datagrams_are_checked_before_they_are_parsed() {
        let with =
            |headers: &str, body: &str| format!("NOTIFY sip:a@b SIP/2.0\r\n{headers}\r\n\r\n{body}").into_bytes();
        assert_eq!(checked(&with("Content-Length: 4", "body")), Ok(None));
        assert_eq!(checked(&with("l : 4", "body and padding")), Ok(None));
        assert_eq!(checked(&with("X: y", "body")).unwrap().unwrap(), with("X: y\r\nContent-Length: 4", "body"));
        for bad in ["Content-Length: 5", "Content-Length: -1", "Content-Length: ", "Content-Length: 4\r\nL: 4", "X: \0"]
        {
            assert!(checked(&with(bad, "body")).is_err(), "{bad:?}");
        }
        assert!(checked(b"NOTIFY sip:a@b SIP/2.0\r\nX: \xff\r\n\r\n").is_err());
        assert!(checked(b"NOTIFY sip:a@b SIP/2.0\r\n").is_err());
        assert_eq!(checked(b"\r\n\r\n"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_datagram_is_checked_without_panic_and_its_body_stays(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some(repaired)) = checked(&bytes) {
                prop_assert_eq!(checked(&repaired), Ok(None));
            }
        }
    }
}
