//! What received bytes must be before the stack's parser sees them. It would cut, skip or guess what it cannot read, and
//! on streams it would trust the first Content-Length that it finds; two readers of one message who disagree about where
//! it ends are how requests are smuggled.

use rsipstack::sip::{HeadersExt as _, Response, Version};

/// Longest start line and headers, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Longest body, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// Most lines of a head.
const MAX_LINES: usize = 256;
const HEAD_END: &[u8] = b"\r\n\r\n";
const CRLF: &[u8] = b"\r\n";
const BLANKS: [char; 2] = [' ', '\t'];

/// Whether a response names its request clearly, as the parser does not ask: SIP/2.0, one Via (RFC 3261 section 8.1.3.3),
/// one each of what it copies from the request, the method of a CSeq, and a body as long as it says.
pub(super) fn is_sound(response: &Response) -> bool {
    let count = |name: &str| response.headers.iter().filter(|h| h.name().eq_ignore_ascii_case(name)).count();
    let lengths = response.headers.iter().filter(|h| h.name().eq_ignore_ascii_case("Content-Length"));
    response.version == Version::V2
        && ["Via", "From", "To", "Call-ID", "CSeq"].iter().all(|name| count(name) == 1)
        && !response.has_multiple_vias()
        && response.cseq_header().is_ok_and(|cseq| cseq.seq().is_ok() && cseq.method().is_ok())
        && lengths.map(|h| h.value().trim().parse()).all(|length| length == Ok(response.body.len()))
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("its header does not end")]
    NoEnd,
    #[error("it is too long")]
    TooLong,
    #[error("its header is not UTF-8")]
    NotUtf8,
    #[error("its header holds a control character or a line end other than CRLF")]
    Control,
    #[error("its first line is neither that of a request nor that of a SIP/2.0 response")]
    StartLine,
    #[error("a line of its header has no field name")]
    FieldName,
    #[error("its Content-Length is missing")]
    NoLength,
    #[error("it has two Content-Lengths")]
    TwoLengths,
    #[error("its Content-Length is no number")]
    Length,
    #[error("its body is shorter than its Content-Length")]
    ShortBody,
}

/// Checks a datagram; `Some` is the same with the Content-Length that it lacked, which over UDP is optional
/// (RFC 3261 section 18.3) and which the stack takes for 0.
///
/// # Errors
/// [`Malformed`] when it is to be dropped.
pub(super) fn datagram(datagram: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    if datagram.iter().all(u8::is_ascii_whitespace) {
        return Ok(None); // a keep-alive, which the stack answers
    }
    let head_len = find(datagram, HEAD_END).ok_or(Malformed::NoEnd)?;
    let (head, body) = (&datagram[..head_len], &datagram[head_len + HEAD_END.len()..]);
    let head = text(head)?;
    lines(head)?;
    match content_length(head)? {
        Some(length) if length <= body.len() => Ok(None),
        Some(_) => Err(Malformed::ShortBody),
        None => {
            let mut whole = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            whole.extend_from_slice(body);
            Ok(Some(whole))
        }
    }
}

/// What a stream brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A keep-alive that wants an answer (RFC 5626 section 3.5.1).
    Ping,
    /// A message, whole.
    Message(Vec<u8>),
    /// Something of known length that is no message; the stream goes on behind it.
    Skipped(Malformed),
}

/// Cuts a stream into messages (RFC 3261 section 18.3), and holds no more of it than one message may have.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: Vec<u8>,
    /// How far the end of the header has been looked for.
    searched: usize,
    /// What the buffer begins with, once its header is whole.
    begun: Option<Begun>,
}

/// A message whose header is known.
#[derive(Debug, Clone, Copy)]
struct Begun {
    /// Its length, header and body.
    whole: usize,
    problem: Option<Malformed>,
}

impl Framer {
    /// Takes in what was read. Call [`Framer::frame`] until it has no more before the next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_amid(&self) -> bool {
        !HEAD_END.starts_with(&self.buffer)
    }

    /// The next frame, `None` when more has to be read.
    ///
    /// # Errors
    /// [`Malformed`] when nobody can say where the next message begins: the stream is of no more use.
    pub(super) fn frame(&mut self) -> Result<Option<Frame>, Malformed> {
        while self.begun.is_none() && self.buffer.starts_with(CRLF) {
            if self.buffer.starts_with(HEAD_END) {
                self.cut(HEAD_END.len());
                return Ok(Some(Frame::Ping));
            }
            if !self.is_amid() {
                return Ok(None); // it may become a ping
            }
            // An answer to a ping, or an empty line before a message (RFC 3261 section 7.5).
            self.cut(CRLF.len());
        }
        let Some(Begun { whole, problem }) = self.begin()? else { return Ok(None) };
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let message = self.cut(whole);
        Ok(Some(problem.map_or(Frame::Message(message), Frame::Skipped)))
    }

    /// Reads the header once it is whole.
    fn begin(&mut self) -> Result<Option<Begun>, Malformed> {
        if self.begun.is_some() {
            return Ok(self.begun);
        }
        let from = self.searched;
        let Some(head_len) = find(&self.buffer[from..], HEAD_END).map(|at| from + at) else {
            self.searched = self.buffer.len().saturating_sub(HEAD_END.len() - 1);
            return if self.buffer.len() > MAX_HEAD { Err(Malformed::TooLong) } else { Ok(None) };
        };
        let head = text(&self.buffer[..head_len])?;
        let length = content_length(head)?.ok_or(Malformed::NoLength)?;
        if length > MAX_BODY {
            return Err(Malformed::TooLong);
        }
        self.begun = Some(Begun { whole: head_len + HEAD_END.len() + length, problem: lines(head).err() });
        Ok(self.begun)
    }

    fn cut(&mut self, bytes: usize) -> Vec<u8> {
        (self.searched, self.begun) = (0, None);
        let rest = self.buffer.split_off(bytes);
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// A start line and its headers, without the empty line behind them, as text.
fn text(head: &[u8]) -> Result<&str, Malformed> {
    if head.len() > MAX_HEAD || head.windows(2).filter(|pair| *pair == CRLF).count() >= MAX_LINES {
        return Err(Malformed::TooLong);
    }
    let head = std::str::from_utf8(head).map_err(|_| Malformed::NotUtf8)?;
    if head.split("\r\n").any(|line| line.chars().any(|c| c.is_control() && c != '\t')) {
        return Err(Malformed::Control);
    }
    Ok(head)
}

/// Checks that each line is what it has to be.
fn lines(head: &str) -> Result<(), Malformed> {
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(is_start_line) {
        return Err(Malformed::StartLine);
    }
    let is_field = |line: &str| line.split_once(':').is_some_and(|(name, _)| is_token(name.trim_end_matches(BLANKS)));
    // A folded line belongs to the one before, so the first cannot be one.
    let is_right = |(at, line): (usize, &str)| is_field(line) || (at > 0 && line.starts_with(BLANKS));
    if lines.enumerate().all(is_right) { Ok(()) } else { Err(Malformed::FieldName) }
}

/// The value of the Content-Length of a head, where it has one.
fn content_length(head: &str) -> Result<Option<usize>, Malformed> {
    let mut values: Vec<String> = Vec::new();
    let mut is_length = false;
    for line in head.split("\r\n").skip(1) {
        if line.starts_with(BLANKS) {
            if let Some(value) = values.last_mut().filter(|_| is_length) {
                value.push_str(line);
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = name.trim();
        is_length = name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l");
        if is_length {
            values.push(value.to_owned());
        }
    }
    match &values[..] {
        [] => Ok(None),
        [value] => {
            let digits = value.trim_matches(BLANKS);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Malformed::Length);
            }
            // More digits than a number has are more than any body has.
            digits.parse().map(Some).map_err(|_| Malformed::TooLong)
        }
        _ => Err(Malformed::TwoLengths),
    }
}

/// RFC 3261 sections 7.1 and 7.2. A request of another version passes: it deserves its 505.
fn is_start_line(line: &str) -> bool {
    if line.starts_with("SIP/") {
        let Some(rest) = line.strip_prefix("SIP/2.0 ") else { return false };
        let (code, _) = rest.split_once(' ').unwrap_or((rest, ""));
        return code.len() == 3 && code.parse().is_ok_and(|code: u16| (100..700).contains(&code));
    }
    let [method, uri, version] = line.split(' ').collect::<Vec<_>>()[..] else { return false };
    let is_version = version.strip_prefix("SIP/").and_then(|v| v.split_once('.')).is_some_and(|(major, minor)| {
        [major, minor].iter().all(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
    });
    is_token(method) && !uri.is_empty() && is_version
}

/// RFC 3261 section 25.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    fn notify(headers: &str, body: &str) -> Vec<u8> {
        format!("NOTIFY sip:a@b SIP/2.0\r\n{headers}\r\n\r\n{body}").into_bytes()
    }

    /// All frames of a stream that arrives in pieces of `size` bytes.
    fn frames(bytes: &[u8], size: usize) -> Result<Vec<Frame>, Malformed> {
        let (mut framer, mut frames) = (Framer::default(), Vec::new());
        for piece in bytes.chunks(size) {
            framer.push(piece);
            while let Some(frame) = framer.frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn datagrams_are_checked_before_they_are_parsed() {
        assert_eq!(datagram(&notify("Content-Length: 4", "body")), Ok(None));
        assert_eq!(datagram(&notify("l : 4", "body and padding")), Ok(None));
        assert_eq!(datagram(&notify("X: y\r\n z\r\nContent-Length:\r\n\t4", "body")), Ok(None));
        assert_eq!(
            datagram(&notify("X: y", "body")).unwrap().unwrap(),
            notify("X: y\r\nContent-Length: 4", "body"),
            "the length that it lacked"
        );
        assert_eq!(datagram(b"\r\n\r\n"), Ok(None));
        for (bad, problem) in [
            (notify("Content-Length: 5", "body"), Malformed::ShortBody),
            (notify("Content-Length: 99999999999999999999", "body"), Malformed::TooLong),
            (notify("Content-Length: -1", "body"), Malformed::Length),
            (notify("Content-Length: ", "body"), Malformed::Length),
            (notify("Content-Length: 4\r\nL: 4", "body"), Malformed::TwoLengths),
            (notify("Content-Length: 1\r\n 4", "body"), Malformed::Length),
            (notify("X: \0", ""), Malformed::Control),
            (notify("X: a\nContent-Length: 0", ""), Malformed::Control),
            (notify("X: a\rb", ""), Malformed::Control),
            (notify("no colon", ""), Malformed::FieldName),
            (notify(" folded: at once", ""), Malformed::FieldName),
            (notify("X Y: z", ""), Malformed::FieldName),
            (notify(&"X: y\r\n".repeat(300), ""), Malformed::TooLong),
            (notify(&format!("X: {}", "y".repeat(MAX_HEAD)), ""), Malformed::TooLong),
            (b"NOTIFY sip:a@b SIP/2.0\r\nX: \xff\r\n\r\n".to_vec(), Malformed::NotUtf8),
            (b"NOTIFY sip:a@b SIP/2.0\r\n".to_vec(), Malformed::NoEnd),
        ] {
            assert_eq!(datagram(&bad), Err(problem), "{}", String::from_utf8_lossy(&bad));
        }
    }

    #[test]
    fn only_requests_and_responses_have_a_start_line() {
        for good in
            ["NOTIFY sip:a@b SIP/2.0", "NOTIFY sip:a@b SIP/7.0", "SIP/2.0 200 OK", "SIP/2.0 100 ", "SIP/2.0 486"]
        {
            assert!(is_start_line(good), "{good:?}");
        }
        for bad in [
            "",
            "NOTIFY sip:a@b",
            "NOTIFY sip:a b SIP/2.0",
            "NOTIFY  SIP/2.0",
            "NO(TIFY sip:a@b SIP/2.0",
            "NOTIFY sip:a@b HTTP/1.1",
            "NOTIFY sip:a@b SIP/2",
            "NOTIFY sip:a@b SIP/2.0 ",
            "SIP/3.0 200 OK",
            "SIP/2.0 99 Low",
            "SIP/2.0 700 High",
            "SIP/2.0 2000 Long",
            "SIP/2.0  200 OK",
            "GET / HTTP/1.1",
        ] {
            assert!(!is_start_line(bad), "{bad:?}");
        }
    }

    #[test]
    fn streams_are_cut_by_content_length_however_they_arrive() {
        let (one, two) = (notify("Content-Length: 4", "body"), notify("l: 0", ""));
        let stream = [b"\r\n\r\n", &one[..], b"\r\n", &two[..], b"\r\n\r\n", &two[..]].concat();
        let expected = [
            Frame::Ping,
            Frame::Message(one.clone()),
            Frame::Message(two.clone()),
            Frame::Ping,
            Frame::Message(two.clone()),
        ];
        assert_eq!(frames(&stream, stream.len()).unwrap(), expected);
        for size in 1..stream.len() {
            assert_eq!(frames(&stream, size).unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_has_an_end_is_skipped_and_what_has_none_ends_the_stream() {
        let good = notify("Content-Length: 0", "");
        let odd = b"GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(
            frames(&[&odd[..], &good[..]].concat(), 7).unwrap(),
            [Frame::Skipped(Malformed::StartLine), Frame::Message(good.clone())]
        );
        for (bad, problem) in [
            (notify("X: y", ""), Malformed::NoLength),
            (notify("Content-Length: 1\r\nContent-Length: 0", "x"), Malformed::TwoLengths),
            (notify("Content-Length: x", ""), Malformed::Length),
            (notify("Content-Length: 999999", ""), Malformed::TooLong),
            (notify("X: a\nb: c\r\nContent-Length: 0", ""), Malformed::Control),
            (vec![b'x'; MAX_HEAD + 1], Malformed::TooLong),
            (b"NOTIFY sip:a@b SIP/2.0\r\nX: \xff\r\nContent-Length: 0\r\n\r\n".to_vec(), Malformed::NotUtf8),
        ] {
            assert_eq!(frames(&bad, 1000), Err(problem), "{}", String::from_utf8_lossy(&bad));
        }
    }

    #[test]
    fn a_response_names_its_request_once() {
        let good = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bKx\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>;tag=2\r\n\
                    i: c\r\nCSeq: 7 REFER\r\nl: 2\r\n\r\nok";
        let is_sound = |text: &str| Response::try_from(text.as_bytes()).is_ok_and(|response| is_sound(&response));
        assert!(is_sound(good));
        for (part, bad) in [
            ("SIP/2.0 200", "SIP/2.1 200"),
            ("v: SIP/2.0/UDP a;branch=z9hG4bKx", "Via: SIP/2.0/UDP a;branch=z9hG4bKx, SIP/2.0/UDP b;branch=z9hG4bKy"),
            ("v: SIP/2.0/UDP a;branch=z9hG4bKx", "X: y"),
            ("i: c", "i: c\r\nCall-ID: d"),
            ("t: <sip:c@d>;tag=2\r\n", ""),
            ("CSeq: 7 REFER", "CSeq: 7 REFER\r\nCSeq: 8 REFER"),
            ("CSeq: 7 REFER", "CSeq: seven REFER"),
            ("CSeq: 7 REFER", "CSeq: 7"),
            ("l: 2", "l: 3"),
        ] {
            assert!(!is_sound(&good.replace(part, bad)), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_checked_without_panic_and_its_body_stays(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some(repaired)) = datagram(&bytes) {
                prop_assert_eq!(datagram(&repaired), Ok(None));
            }
        }

        #[test]
        fn no_stream_is_held_longer_than_one_message(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 0..40),
        ) {
            let mut framer = Framer::default();
            'stream: for piece in pieces {
                framer.push(&piece);
                loop {
                    match framer.frame() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
                prop_assert!(framer.buffer.len() <= MAX_HEAD + HEAD_END.len() + MAX_BODY);
            }
        }
    }
}
