//! Who sent a message, and whether that is somebody who may.

use std::net::SocketAddr;

use rsipstack::sip::Transport;
use rsipstack::transport::SipAddr;

use crate::config::peers::SipPeer;

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    /// The address and port that it was sent from.
    pub(super) address: SocketAddr,
    /// Over a stream: who opened it had a port of the moment, which says nothing.
    pub(super) stream: bool,
    /// Over a TLS connection: we opened it, and the peer has proved who it is.
    pub(super) secure: bool,
    /// Whether `sentimentSipPeers` has the address.
    pub(super) listed: bool,
}

impl Source {
    /// The source that the stack names; none where that is a name, which it never is for what was received.
    pub(super) fn new(from: &SipAddr, further: &[SipPeer]) -> Option<Self> {
        let address = from.get_socketaddr().ok()?;
        let secure = from.r#type == Some(Transport::Tls);
        let stream = secure || from.r#type == Some(Transport::Tcp);
        Some(Self { address, stream, secure, listed: further.iter().any(|peer| peer.speaks_from(address)) })
    }

    /// Whether it is one of these peers, or listed as another place that they speak from.
    pub(super) fn is_of(self, peers: &[SocketAddr]) -> bool {
        let is =
            |peer: &SocketAddr| peer.ip() == self.address.ip() && (self.stream || peer.port() == self.address.port());
        self.listed || peers.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn a_peer_is_an_address_and_a_port_except_on_a_stream() {
        let peers = ["192.0.2.7:5060".parse().unwrap(), "[2001:db8::7]:5070".parse().unwrap()];
        let listed: SipPeer = "198.51.100.0/24".parse().unwrap();
        for (kind, from, is_peer) in [
            (Transport::Udp, "192.0.2.7:5060", true),
            (Transport::Udp, "[2001:db8::7]:5070", true),
            (Transport::Udp, "192.0.2.7:5061", false),
            (Transport::Udp, "192.0.2.8:5060", false),
            (Transport::Udp, "198.51.100.9:40000", true),
            (Transport::Tcp, "192.0.2.7:40000", true),
            (Transport::Tls, "192.0.2.7:5061", true),
            (Transport::Tcp, "192.0.2.8:5060", false),
        ] {
            let from = SipAddr::new(kind, from.parse::<SocketAddr>().unwrap().into());
            let source = Source::new(&from, &[listed]).unwrap();
            assert_eq!((source.is_of(&peers), source.secure), (is_peer, kind == Transport::Tls), "{source:?}");
        }
    }
}
