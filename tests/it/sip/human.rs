//! The human's phone as bare sockets: picks up, listens to the whisper and presses keys, as no scenario of SIPp can.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::message;
use crate::support::PATIENCE;

/// A phone that is called by one INVITE.
pub(crate) struct Phone {
    socket: UdpSocket,
    sound: UdpSocket,
}

/// A call that the phone picked up.
pub(crate) struct Call {
    phone: Phone,
    agent: SocketAddr,
    invite: String,
    tag: String,
}

impl Phone {
    pub(crate) async fn ring(ip: &str) -> Self {
        Self { socket: UdpSocket::bind((ip, 0)).await.unwrap(), sound: UdpSocket::bind((ip, 0)).await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next message; it begins with `start`.
    pub(crate) async fn receive(&self, start: &str) -> (String, SocketAddr) {
        loop {
            let mut buffer = [0; 4096];
            let received = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
            let (length, from) = received.unwrap_or_else(|_| panic!("no {start} came")).unwrap();
            let Some(text) = message(&buffer[..length]) else { continue };
            // On a busy machine an INVITE may come again before we have answered it.
            if text.starts_with("INVITE ") && start != "INVITE " {
                continue;
            }
            assert!(text.starts_with(start), "{start}: {text}");
            return (text, from);
        }
    }

    /// Takes the INVITE, and says nothing yet.
    pub(crate) async fn take(self, tag: &str) -> Call {
        let (invite, agent) = self.receive("INVITE ").await;
        Call { phone: self, agent, invite, tag: tag.to_owned() }
    }

    /// Rings and picks up, with the To tag `tag`.
    pub(crate) async fn answer(self, tag: &str) -> Call {
        let call = self.take(tag).await;
        call.respond("180 Ringing", &call.tag).await;
        call.pick_up(&call.tag).await;
        let (ack, _) = call.phone.receive("ACK ").await;
        assert!(ack.contains(&format!(";tag={tag}\r\n")), "{ack}");
        call
    }
}

impl Call {
    /// Answers the INVITE with a session, under a To tag.
    pub(crate) async fn pick_up(&self, tag: &str) {
        let (address, sound) = (self.phone.address(), self.phone.sound.local_addr().unwrap());
        let sdp = format!(
            "v=0\r\no=- 1 1 IN {2} {0}\r\ns=-\r\nc=IN {2} {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 8 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\n",
            sound.ip(),
            sound.port(),
            if sound.is_ipv6() { "IP6" } else { "IP4" }
        );
        let headers = format!(
            "Contact: <sip:human@{address}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.send(&self.response(&self.invite, "200 OK", tag, &headers)).await;
    }

    pub(crate) async fn respond(&self, status: &str, tag: &str) {
        self.send(&self.response(&self.invite, status, tag, "Content-Length: 0\r\n\r\n")).await;
    }

    /// Takes the CANCEL of the INVITE.
    pub(crate) async fn is_cancelled(&self) {
        let (cancel, _) = self.phone.receive("CANCEL ").await;
        self.send(&self.response(&cancel, "200 OK", &self.tag, "Content-Length: 0\r\n\r\n")).await;
        self.respond("487 Request Terminated", &self.tag).await;
        self.phone.receive("ACK ").await;
    }

    /// Moves the phone's sound to another port, as it looks from behind a NAT.
    pub(crate) async fn sounds_elsewhere(&mut self) {
        self.phone.sound = UdpSocket::bind((self.phone.address().ip(), 0)).await.unwrap();
    }

    /// Takes the BYE of a call with the To tag `tag`.
    pub(crate) async fn is_hung_up_as(&self, tag: &str) {
        let (bye, _) = self.phone.receive("BYE ").await;
        assert!(bye.contains(&format!(";tag={tag}\r\n")), "{bye}");
        self.send(&self.response(&bye, "200 OK", "", "Content-Length: 0\r\n\r\n")).await;
    }

    pub(crate) async fn is_hung_up(&self) {
        self.is_hung_up_as(&self.tag).await;
    }

    pub(crate) async fn receive(&self, start: &str) -> String {
        self.phone.receive(start).await.0
    }

    /// Whether sound comes in A-law that is not silence, at the pace of speech.
    pub(crate) async fn hears_the_whisper(&self) -> bool {
        let (mut packet, mut loud) = ([0; 400], 0);
        for _ in 0..60 {
            let length = timeout(PATIENCE, self.phone.sound.recv(&mut packet)).await.expect("no sound").unwrap();
            assert_eq!((length, packet[1] & 0x7F), (172, 8));
            loud += packet[12..length].iter().filter(|code| (**code ^ 0x55) & 0x70 > 0x30).count();
        }
        loud > 100
    }

    /// The next frames of sound, of 20 ms each, as samples.
    pub(crate) async fn hears(&self, frames: usize) -> Vec<Vec<i16>> {
        let (mut packet, mut heard) = ([0; 400], Vec::new());
        while heard.len() < frames {
            let length = timeout(PATIENCE, self.phone.sound.recv(&mut packet)).await.expect("no sound").unwrap();
            assert_eq!((length, packet[1] & 0x7F), (172, 8));
            heard.push(packet[12..length].iter().map(|code| a_law(*code)).collect());
        }
        heard
    }

    /// Presses a key for 100 ms: the packets of RFC 4733 section 2.5, the end three times.
    pub(crate) async fn press(&self, code: u8, timestamp: u32) {
        let port = self.invite.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let sound = SocketAddr::new(self.agent.ip(), port);
        for n in 1..=7u8 {
            let (end, duration) = (if n >= 5 { 0x80 } else { 0 }, u16::from(n.min(5)) * 160);
            let mut packet = vec![0x80, 101, 0, n];
            packet.extend(timestamp.to_be_bytes());
            packet.extend([1, 2, 3, 4, code, end | 10]);
            packet.extend(duration.to_be_bytes());
            self.phone.sound.send_to(&packet, sound).await.unwrap();
        }
    }

    /// The call as a `Replaces` in a URI names it.
    pub(crate) fn named(&self) -> String {
        let value = |name: &str| self.invite.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim();
        let from_tag = value("From:").split(";tag=").nth(1).unwrap();
        let call_id = value("Call-ID:").replace('@', "%40");
        format!("{call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{from_tag}", self.tag)
    }

    fn response(&self, request: &str, status: &str, tag: &str, rest: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().take_while(|l| !l.is_empty()) {
            if ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
                text += &format!("{line}\r\n");
            }
            if line.starts_with("To:") {
                let tag = if line.contains(";tag=") { String::new() } else { format!(";tag={tag}") };
                text += &format!("{line}{tag}\r\n");
            }
        }
        text + rest
    }

    async fn send(&self, text: &str) {
        self.phone.socket.send_to(text.as_bytes(), self.agent).await.unwrap();
    }
}

/// The sample of an A-law code (ITU-T G.711 table 1a).
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = ((code >> 4) & 7, i16::from(code & 0x0F));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}
