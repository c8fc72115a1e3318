//! The sockets beneath a WebRTC connection: UDP, and TCP for networks that let nothing else through (RFC 6544, RFC 4571).

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use prost::bytes::{Buf, BytesMut};
use rtc::shared::tcp_framing::{TcpFrameDecoder, frame_packet};
use rtc::shared::{TransportContext, TransportProtocol};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// The largest datagram that is read, in bytes: what WebRTC sends fits an Ethernet frame.
const DATAGRAM: usize = 2048;
/// So many bytes wait for a slow TCP connection at most; what is more is lost, as on any network, and sent again.
const UNSENT: usize = 256 * 1024;
/// A server offers a handful of addresses.
const MOST_SOCKETS: usize = 8;

/// The sockets of one connection.
pub(super) struct Wires {
    udp: Vec<(SocketAddr, UdpSocket)>,
    tcp: Vec<Tcp>,
    dialling: JoinSet<io::Result<TcpStream>>,
    buffer: Box<[u8; DATAGRAM]>,
}

/// What happened on a wire.
#[derive(Debug)]
pub(super) enum Arrived {
    /// A packet came.
    Packet(TransportContext, BytesMut),
    /// A TCP connection stands, from that local address.
    Connected(SocketAddr),
}

struct Tcp {
    local: SocketAddr,
    peer: SocketAddr,
    stream: TcpStream,
    decoder: TcpFrameDecoder,
    unsent: VecDeque<u8>,
}

impl Wires {
    pub(super) fn new() -> Self {
        Self { udp: Vec::new(), tcp: Vec::new(), dialling: JoinSet::new(), buffer: Box::new([0; DATAGRAM]) }
    }

    /// Makes sure that there is a UDP socket on the address that leads to `remote`. Returns it where it is new.
    ///
    /// # Errors
    /// What the system said: no way leads there.
    pub(super) fn open_udp(&mut self, remote: SocketAddr) -> io::Result<Option<SocketAddr>> {
        let ip = local_ip(remote)?;
        if self.udp.len() >= MOST_SOCKETS || self.udp.iter().any(|(local, _)| local.ip() == ip) {
            return Ok(None);
        }
        let socket = std::net::UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let local = socket.local_addr()?;
        self.udp.push((local, socket));
        Ok(Some(local))
    }

    /// Begins to dial; [`Arrived::Connected`] follows if it succeeds.
    pub(super) fn dial(&mut self, remote: SocketAddr) {
        if self.tcp.len() + self.dialling.len() < MOST_SOCKETS {
            self.dialling.spawn(async move {
                let stream = TcpStream::connect(remote).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            });
        }
    }

    /// Closes all sockets, as the network is another one.
    pub(super) fn close(&mut self) {
        self.udp.clear();
        self.tcp.clear();
        self.dialling.abort_all();
    }

    /// Sends a packet, or loses it, as networks do: what has to arrive is sent again.
    pub(super) fn send(&mut self, way: &TransportContext, packet: &[u8]) {
        match way.transport_protocol {
            TransportProtocol::TCP => {
                let wire = self.tcp.iter_mut().find(|tcp| tcp.peer == way.peer_addr);
                if let Some(wire) = wire.filter(|tcp| tcp.unsent.len() < UNSENT) {
                    wire.unsent.extend(frame_packet(packet));
                    wire.flush();
                }
            }
            _ => {
                let wire = self.udp.iter().find(|(local, _)| *local == way.local_addr);
                if let Some((_, socket)) = wire
                    && let Err(error) = socket.try_send_to(packet, way.peer_addr)
                {
                    tracing::trace!(%error, "a packet to the room was lost");
                }
            }
        }
    }

    /// What happens next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Arrived {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What has already happened.
    pub(super) fn now(&mut self) -> Option<Arrived> {
        match self.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(arrived) => Some(arrived),
            Poll::Pending => None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Arrived> {
        for (local, socket) in &self.udp {
            let mut buffer = ReadBuf::new(&mut self.buffer[..]);
            // An error is about an earlier packet, that nobody took.
            while let Poll::Ready(read) = socket.poll_recv_from(cx, &mut buffer) {
                if let Ok(peer) = read {
                    let way = way(*local, peer, TransportProtocol::UDP);
                    return Poll::Ready(Arrived::Packet(way, BytesMut::from(buffer.filled())));
                }
            }
        }
        let mut at = 0;
        while let Some(wire) = self.tcp.get_mut(at) {
            match wire.poll_next(cx, &mut self.buffer[..]) {
                Poll::Ready(Ok(packet)) => {
                    let way = way(wire.local, wire.peer, TransportProtocol::TCP);
                    return Poll::Ready(Arrived::Packet(way, packet));
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a TCP connection to the room ended");
                    self.tcp.swap_remove(at);
                }
                Poll::Pending => at += 1,
            }
        }
        while let Poll::Ready(Some(dialled)) = self.dialling.poll_join_next(cx) {
            match dialled.map_err(io::Error::other).flatten().and_then(Tcp::new) {
                Ok(wire) => {
                    let local = wire.local;
                    self.tcp.push(wire);
                    // It is asked at the next poll.
                    cx.waker().wake_by_ref();
                    return Poll::Ready(Arrived::Connected(local));
                }
                Err(error) => tracing::debug!(%error, "no TCP connection to the room"),
            }
        }
        Poll::Pending
    }
}

impl Tcp {
    fn new(stream: TcpStream) -> io::Result<Self> {
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(Self { local, peer, stream, decoder: TcpFrameDecoder::new(), unsent: VecDeque::new() })
    }

    /// Sends what the system takes at once.
    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.try_write(self.unsent.as_slices().0) {
                Ok(sent) if sent > 0 => self.unsent.advance(sent),
                // Is seen by who reads, or polled for.
                _ => return,
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<BytesMut>> {
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.unsent.as_slices().0) {
                Poll::Ready(Ok(sent)) if sent > 0 => self.unsent.advance(sent),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        loop {
            if let Some(packet) = self.decoder.next_packet() {
                return Poll::Ready(Ok(BytesMut::from(&packet[..])));
            }
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.decoder.extend_from_slice(read.filled());
        }
    }
}

fn way(local_addr: SocketAddr, peer_addr: SocketAddr, transport_protocol: TransportProtocol) -> TransportContext {
    TransportContext { local_addr, peer_addr, transport_protocol, ecn: None }
}

/// The address of this machine that leads to `remote`. Nothing is sent.
fn local_ip(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(remote)?;
    Ok(probe.local_addr()?.ip())
}
