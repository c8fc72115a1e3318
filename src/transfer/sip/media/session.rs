//! The socket of one call's sound.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::dtmf::Presses;
use super::g711::Codec;
use super::whisper::Whisper;
use super::{FRAME, rtp};
use crate::number::Digit;
use crate::transfer::sip::attended::sdp::{EVENT_TYPE, Remote};

/// The time that one packet holds.
const PACE: Duration = Duration::from_millis(20);
/// Tries for an even port, which RTP has by custom (RFC 3550 section 11).
const PORT_TRIES: u32 = 16;

/// A socket for RTP, bound before it is offered.
#[derive(Debug)]
pub(crate) struct Media {
    socket: UdpSocket,
    local: SocketAddr,
}

/// What the human hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// The whisper, again and again.
    Whisper,
    /// Silence, while the caller is on the way.
    Silence,
}

impl Media {
    /// Takes a free port of `ip`, an even one where that is quickly found.
    pub(crate) async fn bind(ip: IpAddr) -> io::Result<Self> {
        let mut tries = PORT_TRIES;
        loop {
            let socket = UdpSocket::bind((ip, 0)).await?;
            let local = socket.local_addr()?;
            tries -= 1;
            if local.port() % 2 == 0 || tries == 0 {
                return Ok(Self { socket, local });
            }
        }
    }

    /// Where it is.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Plays to `remote` at its codec, one packet every 20 ms, and tells each key that is pressed there. Ends when
    /// nobody listens to `digits` any more.
    ///
    /// Behind a NAT a phone names an address that only it can use: sound from where its SIP comes from (`peer`) counts
    /// as well, and once some has come, ours goes where it came from.
    pub(crate) async fn run(
        self,
        whisper: Whisper,
        peer: IpAddr,
        mut remote: watch::Receiver<Remote>,
        mood: watch::Receiver<Mood>,
        digits: mpsc::UnboundedSender<Digit>,
    ) {
        let mut stream = rtp::Stream::new();
        let (mut presses, mut played) = (Presses::default(), 0);
        // Where its sound came from, and where it had said that ours should go.
        let mut latched: Option<(SocketAddr, SocketAddr)> = None;
        let mut pace = tokio::time::interval(PACE);
        let mut buffer = [0; 2048];
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    let Remote { address, codec, hears, .. } = *remote.borrow_and_update();
                    let frame = match *mood.borrow() {
                        Mood::Whisper => whisper.frame(played, codec),
                        Mood::Silence => [codec.encode(0); FRAME],
                    };
                    played += usize::from(hears);
                    let payload_type = Codec::payload_type(codec);
                    let Some(packet) = stream.packet(payload_type, &frame).filter(|_| hears) else { continue };
                    let to = latched.filter(|(_, said)| *said == address).map_or(address, |(from, _)| from);
                    if let Err(error) = self.socket.send_to(&packet, to).await {
                        debug!(%error, "a packet was not sent");
                    }
                }
                received = self.socket.recv_from(&mut buffer) => {
                    let Ok((length, from)) = received else {
                        // An ICMP error of an earlier packet.
                        tokio::task::yield_now().await;
                        continue;
                    };
                    let Remote { address, event, .. } = *remote.borrow();
                    if from.ip() != address.ip() && from.ip() != peer {
                        continue;
                    }
                    let Some(packet) = rtp::read(&buffer[..length]) else { continue };
                    latched = Some((from, address));
                    if packet.payload_type != EVENT_TYPE && Some(packet.payload_type) != event {
                        continue;
                    }
                    if let Some(digit) = presses.packet(packet.ssrc, packet.timestamp, packet.payload)
                        && digits.send(digit).is_err()
                    {
                        return;
                    }
                }
                () = digits.closed() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::net::Ipv4Addr;

    use super::*;
    use crate::alert::Severity;

    fn event(timestamp: u32, code: u8, end: bool) -> Vec<u8> {
        let mut packet = vec![0x80, EVENT_TYPE, 0, 1];
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 9, code, if end { 0x8A } else { 0x0A }, 0, 160]);
        packet
    }

    // In virtual time, which moves on only where everybody waits: what is sent on loopback is there at once.
    #[tokio::test(start_paused = true)]
    async fn the_whisper_is_heard_at_its_pace_and_keys_come_back_once() {
        let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
        let phone = UdpSocket::bind((localhost, 0)).await.unwrap();
        let media = Media::bind(localhost).await.unwrap();
        let local = media.local();
        let whisper = Whisper::built_in(Severity::High, "1".parse().unwrap(), "2".parse().unwrap());
        let expected = whisper.clone();
        let remote = Remote { address: phone.local_addr().unwrap(), codec: Codec::Pcma, event: Some(96), hears: true };
        let (remote, seen) = watch::channel(remote);
        let (mood, feeling) = watch::channel(Mood::Whisper);
        let (digits, mut pressed) = mpsc::unbounded_channel();
        let running = tokio::spawn(media.run(whisper, localhost, seen, feeling, digits));
        let (mut buffer, started) = ([0; 500], tokio::time::Instant::now());
        for n in 0..25 {
            let length = phone.recv(&mut buffer).await.unwrap();
            assert_eq!((length, buffer[1] & 0x7F), (172, 8));
            assert_eq!(buffer[12..length], expected.frame(n, Codec::Pcma), "packet {n}");
            assert_eq!(started.elapsed().as_millis(), 20 * n as u128, "packet {n}");
        }

        // Another host presses a key, which counts for nothing; then the phone does.
        let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        stranger.send_to(&event(1, 2, true), local).await.unwrap();
        for (timestamp, code, end) in
            [(800, 1, false), (800, 1, false), (800, 1, true), (800, 1, true), (1600, 10, true)]
        {
            phone.send_to(&event(timestamp, code, end), local).await.unwrap();
        }
        assert_eq!(pressed.recv().await.unwrap().to_string(), "1");
        assert_eq!(pressed.recv().await.unwrap().to_string(), "*");

        mood.send(Mood::Silence).unwrap();
        let quiet = [Codec::Pcma.encode(0); FRAME];
        while phone.recv(&mut buffer).await.unwrap() != 172 || buffer[12..172] != quiet {}
        drop(pressed);
        running.await.unwrap();
        drop(remote);
    }
}
