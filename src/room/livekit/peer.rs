//! A WebRTC connection that carries data and nothing else: the only place that knows the WebRTC library.

use std::net::SocketAddr;
use std::time::Duration;

use prost::bytes::BytesMut;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit, RTCDataChannelState};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::configuration::setting_engine::{SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCIceConnectionState;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportProtocol};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::candidate::Candidate;
use super::wires::{Arrived, Wires};

/// Between the checks of a way that does not answer yet.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// So long silent, and a way is to be replaced (its keepalives come every second).
const SILENT: Duration = Duration::from_secs(5);
/// So long beyond that, and it has failed.
const FAILED: Duration = Duration::from_secs(15);
/// UDP has so long before TCP is tried as well.
const UDP_FIRST: Duration = Duration::from_millis(250);
/// So many packets are read before those that they cause are sent, which saves acknowledgements.
const BURST: usize = 32;

/// A WebRTC library's error, which names no secret and nobody's words.
#[derive(Debug, thiserror::Error)]
#[error("WebRTC: {0}")]
pub(super) struct PeerError(#[from] Error);

/// The channels that LiveKit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// `_reliable`: everything, in order.
    Reliable,
    /// `_lossy`: what is not too late.
    Lossy,
}

impl Channel {
    const ALL: [Self; 2] = [Self::Reliable, Self::Lossy];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
        }
    }

    fn init(self) -> RTCDataChannelInit {
        match self {
            Self::Reliable => RTCDataChannelInit::default(),
            Self::Lossy => {
                RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..RTCDataChannelInit::default() }
            }
        }
    }
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum PeerEvent {
    /// A channel is open.
    Open(Channel),
    /// A message came.
    Data(Channel, BytesMut),
    /// Nothing has come for a while; it may come back.
    Silent,
    /// It is there again.
    Back,
    /// It is dead.
    Failed,
}

/// The connection.
pub(super) struct Peer {
    connection: RTCPeerConnection,
    wires: Wires,
    channels: Vec<(RTCDataChannelId, Channel)>,
    /// Where TCP is to be dialled, and when.
    passive: Vec<SocketAddr>,
    tcp_at: Option<Instant>,
    /// Candidates that came before there was a description of their side.
    early: Vec<String>,
    /// When the library's timers were last seen to, so that none can keep us busy.
    ticked: Instant,
}

impl Peer {
    /// A connection without channels: the server makes them.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn new() -> Result<Self, PeerError> {
        let connection = RTCPeerConnectionBuilder::new().with_setting_engine(settings()).build(now())?;
        Ok(Self {
            connection,
            wires: Wires::new(),
            channels: Vec::new(),
            passive: Vec::new(),
            tcp_at: None,
            early: Vec::new(),
            ticked: Instant::now(),
        })
    }

    /// A connection with LiveKit's channels, and our offer of it.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn offering() -> Result<(Self, String), PeerError> {
        let mut peer = Self::new()?;
        for channel in Channel::ALL {
            let id = peer.connection.create_data_channel(channel.label(), Some(channel.init()))?.id();
            peer.channels.push((id, channel));
        }
        let offer = peer.offer(false)?;
        Ok((peer, offer))
    }

    /// Our offer of the same connection over another way, from new sockets.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn restart(&mut self) -> Result<String, PeerError> {
        self.new_sockets();
        self.offer(true)
    }

    fn offer(&mut self, ice_restart: bool) -> Result<String, PeerError> {
        let offer = self.connection.create_offer(Some(RTCOfferOptions { ice_restart }))?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(now(), offer)?;
        Ok(sdp)
    }

    /// The server's answer to our offer.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn answered(&mut self, sdp: String) -> Result<(), PeerError> {
        self.connection.set_remote_description(now(), RTCSessionDescription::answer(sdp)?)?;
        self.described();
        Ok(())
    }

    /// The server's offer, a first one or one of another way, and our answer.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn answer(&mut self, sdp: String) -> Result<String, PeerError> {
        let before = self.connection.remote_description().and_then(|before| ufrag(&before.sdp));
        if before.is_some() && before != ufrag(&sdp) {
            self.new_sockets();
        }
        self.connection.set_remote_description(now(), RTCSessionDescription::offer(sdp)?)?;
        let answer = self.connection.create_answer(None)?;
        let sdp = answer.sdp.clone();
        self.connection.set_local_description(now(), answer)?;
        self.described();
        Ok(sdp)
    }

    /// The server's candidates that were in its description, or came before it.
    fn described(&mut self) {
        let mut candidates = std::mem::take(&mut self.early);
        let told = self.connection.remote_description().map(|described| described.sdp.as_str()).unwrap_or_default();
        candidates.extend(
            told.lines().filter_map(|line| Some(line.strip_prefix("a=")?.to_owned())).filter(|line| is_candidate(line)),
        );
        for candidate in candidates {
            self.add_candidate(candidate);
        }
    }

    fn new_sockets(&mut self) {
        self.wires.close();
        self.passive.clear();
        self.tcp_at = None;
    }

    /// A way to the server, as signalling tells it: JSON with `candidate`.
    pub(super) fn candidate(&mut self, json: &str) {
        #[derive(Deserialize)]
        struct Init {
            candidate: String,
        }
        match serde_json::from_str::<Init>(json) {
            Ok(init) if self.connection.remote_description().is_none() => self.early.push(init.candidate),
            Ok(init) => self.add_candidate(init.candidate),
            Err(error) => tracing::debug!(%error, "a candidate of the room cannot be read"),
        }
    }

    fn add_candidate(&mut self, candidate: String) {
        let Some(way) = Candidate::parse(&candidate) else {
            tracing::debug!("a candidate of the room is of no use here");
            return;
        };
        let added =
            self.connection.add_remote_candidate(RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() });
        if let Err(error) = added {
            tracing::debug!(%error, "a candidate of the room cannot be used");
            return;
        }
        match way {
            Candidate::Udp(remote) => match self.wires.open_udp(remote) {
                Ok(Some(local)) => self.add_local(local, TransportProtocol::UDP),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "no way leads to one of the room's addresses"),
            },
            Candidate::Tcp(remote) => {
                self.passive.push(remote);
                self.tcp_at.get_or_insert_with(|| Instant::now() + UDP_FIRST);
            }
        }
    }

    /// The server needs not know of it: it answers where checks come from.
    fn add_local(&mut self, local: SocketAddr, protocol: TransportProtocol) {
        let (ip, port) = (local.ip(), local.port());
        let candidate = match protocol {
            TransportProtocol::TCP => format!("candidate:2 1 tcp 1518280447 {ip} {port} typ host tcptype active"),
            _ => format!("candidate:1 1 udp 2130706431 {ip} {port} typ host"),
        };
        let init = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
        if let Err(error) = self.connection.add_local_candidate(init) {
            tracing::debug!(%error, "an address of ours cannot be used");
        }
    }

    /// Whether a channel can be written to.
    pub(super) fn is_open(&mut self, channel: Channel) -> bool {
        let id = self.id(channel);
        id.and_then(|id| self.connection.data_channel(id)).is_some_and(|c| c.ready_state() == RTCDataChannelState::Open)
    }

    /// Sends a message. What is sent while the way is being replaced waits.
    ///
    /// # Errors
    /// [`PeerError`]: the channel is not open, or the message too large.
    pub(super) fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), PeerError> {
        let open = self.id(channel).and_then(|id| self.connection.data_channel(id));
        open.ok_or(Error::ErrDataChannelNotOpen)?.send(now(), BytesMut::from(message))?;
        self.flush();
        Ok(())
    }

    /// The numbers of the open channels on the wire.
    pub(super) fn streams(&mut self) -> Vec<(Channel, u16)> {
        let channels = self.channels.clone();
        let number = |(id, channel): (RTCDataChannelId, Channel)| {
            Some((channel, self.connection.data_channel(id)?.stream_id()?))
        };
        channels.into_iter().filter_map(number).collect()
    }

    fn id(&self, channel: Channel) -> Option<RTCDataChannelId> {
        self.channels.iter().find(|(_, known)| *known == channel).map(|(id, _)| *id)
    }

    /// What happens next. While nobody is `listening`, messages stay where the server knows that they were not taken, and
    /// it slows down. Cancel-safe.
    pub(super) async fn next(&mut self, listening: bool) -> PeerEvent {
        loop {
            self.flush();
            if let Some(event) = self.event() {
                return event;
            }
            if listening && let Some(data) = self.data() {
                return data;
            }
            let due = self.connection.poll_timeout().map(Instant::from_std);
            let due = due.map(|due| due.max(self.ticked + Duration::from_millis(1)));
            let tcp_at = self.tcp_at;
            tokio::select! {
                arrived = self.wires.next() => self.arrived(arrived),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.tick(),
                () = sleep_until(tcp_at.unwrap_or_else(Instant::now)), if tcp_at.is_some() => self.dial_tcp(),
            }
        }
    }

    fn tick(&mut self) {
        self.ticked = Instant::now();
        if let Err(error) = self.connection.handle_timeout(now()) {
            tracing::debug!(%error, "a timer of the connection to the room failed");
        }
    }

    fn dial_tcp(&mut self) {
        self.tcp_at = None;
        for remote in std::mem::take(&mut self.passive) {
            self.wires.dial(remote);
        }
    }

    fn arrived(&mut self, first: Arrived) {
        let mut next = Some(first);
        for _ in 0..BURST {
            match next {
                Some(Arrived::Packet(transport, message)) => {
                    let packet = TaggedBytesMut { now: now(), transport, message };
                    if let Err(error) = self.connection.handle_read(packet) {
                        tracing::trace!(%error, "a packet of the room was of no use");
                    }
                }
                Some(Arrived::Connected(local)) => self.add_local(local, TransportProtocol::TCP),
                None => return,
            }
            next = self.wires.now();
        }
        if let Some(Arrived::Packet(transport, message)) = next {
            let _ = self.connection.handle_read(TaggedBytesMut { now: now(), transport, message });
        } else if let Some(Arrived::Connected(local)) = next {
            self.add_local(local, TransportProtocol::TCP);
        }
    }

    fn flush(&mut self) {
        while let Some(packet) = self.connection.poll_write() {
            self.wires.send(&packet.transport, &packet.message);
        }
    }

    fn event(&mut self) -> Option<PeerEvent> {
        while let Some(event) = self.connection.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                    if let Some(channel) = self.opened(id) {
                        return Some(PeerEvent::Open(channel));
                    }
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id))
                    if self.id(Channel::Reliable) == Some(id) =>
                {
                    return Some(PeerEvent::Failed);
                }
                RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(state) => match state {
                    RTCIceConnectionState::Connected => {
                        // UDP leads there.
                        self.tcp_at = None;
                        return Some(PeerEvent::Back);
                    }
                    RTCIceConnectionState::Disconnected => return Some(PeerEvent::Silent),
                    RTCIceConnectionState::Failed | RTCIceConnectionState::Closed => return Some(PeerEvent::Failed),
                    _ => {}
                },
                _ => {}
            }
        }
        None
    }

    fn opened(&mut self, id: RTCDataChannelId) -> Option<Channel> {
        if let Some((_, channel)) = self.channels.iter().find(|(known, _)| *known == id) {
            return Some(*channel);
        }
        let label = self.connection.data_channel(id)?.label().to_owned();
        let channel = Channel::ALL.into_iter().find(|channel| channel.label() == label)?;
        self.channels.push((id, channel));
        Some(channel)
    }

    fn data(&mut self) -> Option<PeerEvent> {
        while let Some(tagged) = self.connection.poll_read() {
            if let RTCMessage::DataChannelMessage(id, message) = tagged.message
                && let Some((_, channel)) = self.channels.iter().find(|(known, _)| *known == id)
            {
                return Some(PeerEvent::Data(*channel, message.data));
            }
        }
        None
    }
}

fn is_candidate(attribute: &str) -> bool {
    attribute.starts_with("candidate:")
}

/// Names a way of a connection: another one is another way.
fn ufrag(sdp: &str) -> Option<&str> {
    sdp.lines().find_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:"))
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn settings() -> SettingEngine {
    let at_once = Some(Duration::ZERO);
    SettingEngineBuilder::new()
        .with_ice_timeouts(Some(SILENT), Some(FAILED), Some(Duration::from_secs(1)))
        // As many as there is time for.
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(u16::MAX))
        .with_host_acceptance_min_wait(at_once)
        .with_srflx_acceptance_min_wait(at_once)
        .with_prflx_acceptance_min_wait(at_once)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_discard_local_candidates_during_ice_restart(true)
        .build()
}
