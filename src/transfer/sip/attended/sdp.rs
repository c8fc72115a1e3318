//! Session descriptions (RFC 8866) in offer and answer (RFC 3264): one audio stream in G.711 with telephone events.

use std::net::{IpAddr, SocketAddr};

use crate::transfer::sip::media::g711::Codec;

/// The payload type of telephone events in our offers.
pub(crate) const EVENT_TYPE: u8 = 101;
/// The content type of a session description.
pub(crate) const CONTENT_TYPE: &str = "application/sdp";
/// Largest description that is looked at, in bytes.
const MAX_BYTES: usize = 8192;
/// Most streams that a description may have.
const MAX_STREAMS: usize = 16;
/// The port of a stream that nothing is sent to (RFC 863): there is none of ours in it.
const DISCARD: u16 = 9;

/// Our side of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Local {
    ip: IpAddr,
    /// Where we take sound; `None` where the sound is not ours but the platform's.
    port: Option<u16>,
    id: u32,
    /// One more with every description (RFC 3264 section 8).
    version: u32,
}

/// The other side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Where it takes sound.
    pub(crate) address: SocketAddr,
    /// In which coding.
    pub(crate) codec: Codec,
    /// Its payload type for telephone events, where it has them.
    pub(crate) event: Option<u8>,
    /// Whether it listens at all, or put us on hold.
    pub(crate) hears: bool,
}

/// Why a description cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSession {
    #[error("the session description cannot be read")]
    Unreadable,
    #[error("no audio stream over plain RTP is left")]
    NoAudio,
    #[error("neither PCMU nor PCMA is left")]
    NoCodec,
    #[error("it takes no telephone events, so no digit can come")]
    NoEvents,
    #[error("it names no address that sound can be sent to")]
    NoAddress,
}

/// Which way sound goes, as the peer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Both,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

impl Direction {
    fn read(attribute: &str) -> Option<Self> {
        Some(match attribute {
            "sendrecv" => Self::Both,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::ReceiveOnly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }

    /// The same as the other side sees it.
    fn answer(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::SendOnly => "recvonly",
            Self::ReceiveOnly => "sendonly",
            Self::Inactive => "inactive",
        }
    }

    fn hears(self) -> bool {
        matches!(self, Self::Both | Self::ReceiveOnly)
    }
}

impl Local {
    /// A session whose sound we take at `address`.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: Some(address.port()), id: fastrand::u32(1..1 << 31), version: 0 }
    }

    /// A session whose sound is not ours: it can be put on hold and no more.
    pub(crate) fn elsewhere(ip: IpAddr) -> Self {
        Self { ip, port: None, id: fastrand::u32(1..1 << 31), version: 0 }
    }

    /// An offer of all that we can.
    pub(crate) fn offer(&mut self) -> String {
        let codecs = Codec::ALL.map(|codec| (codec.payload_type(), codec));
        let stream = self.stream(&codecs, Some(EVENT_TYPE), Direction::Both);
        format!("{}{stream}", self.head())
    }

    /// Answers an offer: its first stream that we can use, and no other. Also what the stream then is, where its sound
    /// is ours.
    pub(crate) fn answer(&mut self, offer: &[u8]) -> Result<(String, Option<Remote>), NoSession> {
        let session = Session::read(offer)?;
        let chosen = session.streams.iter().position(|s| s.usable().is_ok());
        let at = chosen.ok_or_else(|| session.problem())?;
        let mut out = self.head();
        for (n, stream) in session.streams.iter().enumerate() {
            match stream.usable() {
                Ok((payload_type, codec)) if n == at => {
                    out += &self.stream(&[(payload_type, codec)], stream.event, stream.direction);
                }
                // RFC 3264 section 6: a stream is refused by port 0, and keeps its place.
                _ => out += &format!("m={} 0 {} {}\r\n", stream.kind, stream.protocol, stream.format_list()),
            }
        }
        let remote = self.port.and_then(|_| session.streams[at].remote(session.address).ok());
        Ok((out, remote))
    }

    fn head(&mut self) -> String {
        self.version += 1;
        let (family, ip) = (if self.ip.is_ipv6() { "IP6" } else { "IP4" }, self.ip);
        format!("v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n", self.id, self.version)
    }

    fn stream(&self, codecs: &[(u8, Codec)], event: Option<u8>, direction: Direction) -> String {
        let direction = if self.port.is_some() { direction.answer() } else { "inactive" };
        let formats: String = codecs.iter().map(|(t, _)| *t).chain(event).map(|t| format!(" {t}")).collect();
        let mut out = format!("m=audio {} RTP/AVP{formats}\r\n", self.port.unwrap_or(DISCARD));
        for (payload_type, codec) in codecs {
            out += &format!("a=rtpmap:{payload_type} {}/8000\r\n", codec.name());
        }
        if let Some(event) = event {
            out += &format!("a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\n");
        }
        out + &format!("a=ptime:20\r\na={direction}\r\n")
    }
}

/// Reads the answer to [`Local::offer`].
pub(crate) fn read_answer(answer: &[u8]) -> Result<Remote, NoSession> {
    let session = Session::read(answer)?;
    let remote = session.streams.first().ok_or(NoSession::NoAudio)?.remote(session.address)?;
    if remote.event.is_none() {
        return Err(NoSession::NoEvents);
    }
    Ok(remote)
}

/// A description, as far as it matters.
#[derive(Debug)]
struct Session<'a> {
    address: Option<IpAddr>,
    streams: Vec<Stream<'a>>,
}

/// One `m=` section.
#[derive(Debug)]
struct Stream<'a> {
    kind: &'a str,
    port: u16,
    protocol: &'a str,
    formats: Vec<&'a str>,
    address: Option<IpAddr>,
    /// Payload types of G.711, in the order of preference.
    codecs: Vec<(u8, Codec)>,
    event: Option<u8>,
    direction: Direction,
}

impl<'a> Session<'a> {
    fn read(text: &'a [u8]) -> Result<Self, NoSession> {
        let text = std::str::from_utf8(text).ok().filter(|t| t.len() <= MAX_BYTES).ok_or(NoSession::Unreadable)?;
        let mut session = Self { address: None, streams: Vec::new() };
        let mut direction = Direction::Both;
        for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
            let (name, value) = line.split_once('=').ok_or(NoSession::Unreadable)?;
            if name == "m" {
                if session.streams.len() >= MAX_STREAMS {
                    return Err(NoSession::Unreadable);
                }
                session.streams.push(Stream::read(value, direction).ok_or(NoSession::Unreadable)?);
                continue;
            }
            match (name, session.streams.last_mut()) {
                ("c", None) => session.address = connection(value),
                ("c", Some(stream)) => stream.address = connection(value),
                ("a", None) => direction = Direction::read(value).unwrap_or(direction),
                ("a", Some(stream)) => stream.attribute(value),
                _ => {}
            }
        }
        Ok(session)
    }

    /// What is wrong with the stream that comes closest to one that can be used.
    fn problem(&self) -> NoSession {
        let audio = self.streams.iter().any(|s| s.usable() == Err(NoSession::NoCodec));
        if audio { NoSession::NoCodec } else { NoSession::NoAudio }
    }
}

impl<'a> Stream<'a> {
    fn read(value: &'a str, direction: Direction) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
        let plain =
            |word: &&str| word.len() <= 32 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
        let formats: Vec<&str> = words.take(32).collect();
        if ![kind, protocol].iter().chain(&formats).all(plain) {
            return None;
        }
        // A number of ports may follow: 49170/2.
        let port = port.split('/').next()?.parse().ok()?;
        let mut stream =
            Self { kind, port, protocol, formats, address: None, codecs: Vec::new(), event: None, direction };
        for format in stream.formats.clone() {
            let codec = Codec::ALL.into_iter().find(|codec| codec.payload_type().to_string() == format);
            stream.codecs.extend(codec.map(|codec| (codec.payload_type(), codec)));
        }
        Some(stream)
    }

    fn attribute(&mut self, value: &str) {
        if let Some(direction) = Direction::read(value) {
            self.direction = direction;
        }
        let Some((payload_type, coding)) = value.strip_prefix("rtpmap:").and_then(|map| map.split_once(' ')) else {
            return;
        };
        if !self.formats.contains(&payload_type) {
            return;
        }
        let Some(payload_type) = payload_type.parse::<u8>().ok().filter(|t| *t < 128) else { return };
        let mut parts = coding.trim().split('/');
        let (name, rate) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if rate != "8000" {
            return;
        }
        if name.eq_ignore_ascii_case("telephone-event") {
            self.event = Some(payload_type);
        }
        let codec = Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name));
        if let Some(codec) = codec.filter(|codec| self.codecs.iter().all(|(_, known)| known != codec)) {
            self.codecs.push((payload_type, codec));
        }
    }

    /// The coding of a stream that we can use.
    fn usable(&self) -> Result<(u8, Codec), NoSession> {
        if self.kind != "audio" || self.port == 0 || self.protocol != "RTP/AVP" {
            return Err(NoSession::NoAudio);
        }
        self.codecs.first().copied().ok_or(NoSession::NoCodec)
    }

    fn remote(&self, session: Option<IpAddr>) -> Result<Remote, NoSession> {
        // G.711 has its static payload types in both directions, as offered.
        let (_, codec) = self.usable()?;
        let ip = self.address.or(session).ok_or(NoSession::NoAddress)?;
        // RFC 3264 section 8.4: the old way to be put on hold.
        let held = ip.is_unspecified();
        if ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255]) {
            return Err(NoSession::NoAddress);
        }
        let address = SocketAddr::new(ip, self.port);
        Ok(Remote { address, codec, event: self.event, hears: self.direction.hears() && !held })
    }

    fn format_list(&self) -> String {
        if self.formats.is_empty() { "0".to_owned() } else { self.formats.join(" ") }
    }
}

/// The address of a `c=` line; a name is none, as it would have to be resolved.
fn connection(value: &str) -> Option<IpAddr> {
    let mut words = value.split_ascii_whitespace();
    let (net, family, address) = (words.next()?, words.next()?, words.next()?);
    let ip: IpAddr = address.split('/').next()?.parse().ok()?;
    (net == "IN" && family == if ip.is_ipv6() { "IP6" } else { "IP4" }).then_some(ip)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    fn local() -> Local {
        Local::new("192.0.2.1:40000".parse().unwrap())
    }

    fn answer(body: &str) -> Result<Remote, NoSession> {
        read_answer(
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n{body}").as_bytes(),
        )
    }

    const EVENTS: &str = "a=rtpmap:101 telephone-event/8000\r\n";

    #[test]
    fn an_offer_names_both_codecs_and_the_events() {
        let mut local = local();
        let offer = local.offer();
        assert!(offer.contains("m=audio 40000 RTP/AVP 0 8 101\r\n"), "{offer}");
        assert!(offer.contains("c=IN IP4 192.0.2.1\r\n") && offer.ends_with("a=sendrecv\r\n"), "{offer}");
        let remote = read_answer(offer.as_bytes()).unwrap();
        assert_eq!((remote.address.to_string().as_str(), remote.codec), ("192.0.2.1:40000", Codec::Pcmu));
        let six = Local::new("[2001:db8::1]:40000".parse().unwrap()).offer();
        assert_eq!(read_answer(six.as_bytes()).unwrap().address.to_string(), "[2001:db8::1]:40000");
    }

    #[test]
    fn the_answer_s_first_codec_and_address_count() {
        let remote = answer(&format!("m=audio 5000 RTP/AVP 96 8 0 101\r\n{EVENTS}a=sendrecv")).unwrap();
        assert_eq!((remote.codec, remote.event, remote.hears), (Codec::Pcma, Some(101), true));
        let remote = answer(&format!("m=audio 5000/1 RTP/AVP 0 101\nc=IN IP4 192.0.2.9\n{EVENTS}a=sendonly")).unwrap();
        assert_eq!((remote.address.to_string().as_str(), remote.hears), ("192.0.2.9:5000", false));
        let held = answer(&format!("m=audio 5000 RTP/AVP 0 101\r\nc=IN IP4 0.0.0.0\r\n{EVENTS}")).unwrap();
        assert!(!held.hears);
    }

    #[test]
    fn an_answer_without_use_says_what_it_lacks() {
        for (body, problem) in [
            ("", NoSession::NoAudio),
            ("m=audio 0 RTP/AVP 0 101\r\n", NoSession::NoAudio),
            ("m=audio 5000 RTP/SAVP 0\r\n", NoSession::NoAudio),
            ("m=video 5000 RTP/AVP 0\r\n", NoSession::NoAudio),
            ("m=audio 5000 RTP/AVP 18 101\r\n", NoSession::NoCodec),
            ("m=audio 5000 RTP/AVP 0\r\n", NoSession::NoEvents),
            ("m=audio 5000 RTP/AVP 0\r\nc=IN IP4 host.example\r\n", NoSession::NoEvents),
            ("m=audio 5000 RTP/AVP 0 101\r\nc=IN IP4 224.0.0.1\r\n", NoSession::NoAddress),
            ("m=audio\r\n", NoSession::Unreadable),
            ("m=audio 99999 RTP/AVP 0\r\n", NoSession::Unreadable),
            ("m=au\u{1}dio 5000 RTP/AVP 0\r\n", NoSession::Unreadable),
            ("nonsense\r\n", NoSession::Unreadable),
        ] {
            assert_eq!(answer(body), Err(problem), "{body:?}");
        }
        assert_eq!(
            read_answer(b"m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000"),
            Err(NoSession::NoAddress)
        );
        assert_eq!(read_answer(b"\xff"), Err(NoSession::Unreadable));
    }

    #[test]
    fn a_hold_is_answered_in_kind_and_other_streams_are_refused() {
        let offer = "v=0\r\no=- 1 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=video 6000 RTP/AVP 99\r\n\
                     m=audio 5000 RTP/AVP 18 8 100\r\na=rtpmap:100 telephone-event/8000\r\na=sendonly\r\n";
        let mut local = local();
        local.offer();
        let (text, remote) = local.answer(offer.as_bytes()).unwrap();
        assert!(text.contains("m=video 0 RTP/AVP 99\r\nm=audio 40000 RTP/AVP 8 100\r\n"), "{text}");
        assert!(text.ends_with("a=recvonly\r\n") && text.contains(" 2 IN IP4 192.0.2.1\r\n"), "{text}");
        assert_eq!((remote.unwrap().hears, remote.unwrap().codec), (false, Codec::Pcma));

        // The caller's sound is the platform's: it is put on hold, and nothing of it comes here.
        let (text, remote) = Local::elsewhere("192.0.2.1".parse().unwrap()).answer(offer.as_bytes()).unwrap();
        assert!(text.contains("m=audio 9 RTP/AVP 8 100\r\n") && text.ends_with("a=inactive\r\n"), "{text}");
        assert_eq!(remote, None);
        assert_eq!(local.answer(b"m=audio 5000 RTP/AVP 18\r\n"), Err(NoSession::NoCodec));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_no_answer_breaks_a_line(
            lines in proptest::collection::vec(
                prop_oneof![
                    "m=(audio|video|[ -~]{0,6}) [0-9]{1,6} (RTP/AVP|[ -~]{0,6})( [0-9]{1,3}){0,3}",
                    "c=IN IP[46] [0-9a-f.:]{0,12}",
                    "a=(rtpmap:[0-9]{1,3} (PCMU|PCMA|telephone-event)/8000|sendonly|inactive|[ -~]{0,20})",
                    "[ -~\\x00\\xff]{0,20}",
                ],
                0..8,
            ),
        ) {
            let text = lines.join("\r\n");
            let _ = read_answer(text.as_bytes());
            if let Ok((answer, _)) = local().answer(text.as_bytes()) {
                prop_assert!(answer.split("\r\n").all(|line| line.is_empty() || line.as_bytes()[1] == b'='), "{answer:?}");
                prop_assert_eq!(answer.matches("m=").count(), text.lines().filter(|l| l.starts_with("m=")).count());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_answer(&bytes);
            let _ = local().answer(&bytes);
        }
    }
}
