//! WebSocket frames (RFC 6455 section 5) as they pass by ([`Wire`]): where messages begin and end, and what their text is. The
//! bytes themselves are nobody's business here, and go on as they came.

/// The largest text that is read; a longer one passes unread.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// What ended in the bytes that were looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// A message of text.
    Text(String),
    /// A message, or the end of one, that cannot be read: too long, compressed, binary, or no UTF-8.
    Unread,
    /// The close frame, with its code.
    Close(Option<u16>),
    /// A frame that is no end of a message, or no part of one.
    Frame,
}

/// Looks at one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    head: Head,
    /// So much of the payload of the frame is still to come.
    left: u64,
    mask: Option<[u8; 4]>,
    /// Which byte of the payload comes next.
    at: usize,
    control: bool,
    opcode: u8,
    last: bool,
    /// The payload of a control frame.
    note: Vec<u8>,
    message: Message,
}

/// The bytes of a frame's head so far.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; 14],
    have: usize,
}

/// The message that is under way.
#[derive(Debug, Default)]
struct Message {
    open: bool,
    readable: bool,
    text: Vec<u8>,
}

impl Head {
    /// How many bytes the head has, as far as they tell.
    fn len(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let [_, second, ..] = self.bytes;
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn payload(&self) -> u64 {
        let [_, second, rest @ ..] = self.bytes;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        match second & 0x7f {
            126 => number(&rest[..2]),
            127 => number(&rest[..8]),
            short => u64::from(short),
        }
    }

    fn mask(&self) -> Option<[u8; 4]> {
        let len = self.len();
        if self.bytes[1] & 0x80 == 0 {
            return None;
        }
        self.bytes.get(len - 4..len)?.try_into().ok()
    }
}

impl Wire {
    /// Whether nothing is under way: something else may be said here without tearing anything.
    pub(super) fn is_between(&self) -> bool {
        self.head.have == 0 && !self.message.open
    }

    /// Looks at bytes up to the end of the first frame that ends in them: how many that are, and what ended.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> (usize, Option<Passed>) {
        let mut taken = 0;
        while self.head.have < self.head.len() {
            let Some(byte) = bytes.get(taken) else { return (taken, None) };
            self.head.bytes[self.head.have] = *byte;
            self.head.have += 1;
            taken += 1;
            if self.head.have == self.head.len() {
                self.begin();
            }
        }
        let rest = bytes.get(taken..).unwrap_or_default();
        let part = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
        self.take(rest.get(..part).unwrap_or_default());
        taken += part;
        (taken, (self.left == 0).then(|| self.end()))
    }

    /// The head of a frame is whole.
    fn begin(&mut self) {
        let [first, ..] = self.head.bytes;
        (self.left, self.mask, self.at) = (self.head.payload(), self.head.mask(), 0);
        (self.opcode, self.last) = (first & 0x0f, first & 0x80 != 0);
        self.control = self.opcode >= 8;
        if self.control {
            self.note.clear();
        } else if self.opcode != 0 {
            // Reserved bits say that an extension is at work.
            self.message = Message { open: true, readable: self.opcode == 1 && first & 0x70 == 0, text: Vec::new() };
        }
    }

    /// The next bytes of the frame's payload.
    fn take(&mut self, bytes: &[u8]) {
        self.left -= bytes.len() as u64;
        let most = if self.control { 2 } else { MAX_TEXT };
        let kept = if self.control { &mut self.note } else { &mut self.message.text };
        if !self.control && (!self.message.readable || kept.len() + bytes.len() > most) {
            self.message.readable = false;
            kept.clear();
        } else {
            let room = most - kept.len().min(most);
            let mask = |(at, byte): (usize, &u8)| self.mask.map_or(*byte, |mask| byte ^ mask[at % 4]);
            kept.extend(bytes.iter().enumerate().map(|(n, byte)| (self.at + n, byte)).map(mask).take(room));
        }
        self.at = self.at.wrapping_add(bytes.len()) % 4;
    }

    fn end(&mut self) -> Passed {
        self.head = Head::default();
        match self.opcode {
            8 => Passed::Close(self.note.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]))),
            _ if self.control || !self.last => Passed::Frame,
            _ => {
                let message = std::mem::take(&mut self.message);
                let text = message.readable.then(|| String::from_utf8(message.text).ok()).flatten();
                text.map_or(Passed::Unread, Passed::Text)
            }
        }
    }
}

/// A message of text as a server says it: in one frame, without a mask.
pub(super) fn text_frame(text: &str) -> Vec<u8> {
    let len = text.len();
    let mut frame = vec![0x81];
    match u16::try_from(len) {
        Ok(short) if short < 126 => frame.extend(u8::try_from(short)),
        Ok(medium) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

    use super::*;

    /// What passes, cut into pieces.
    fn passed(bytes: &[u8], piece: usize) -> Vec<Passed> {
        let (mut wire, mut all) = (Wire::default(), Vec::new());
        for mut chunk in bytes.chunks(piece) {
            while !chunk.is_empty() {
                let (taken, passed) = wire.pass(chunk);
                assert!(taken > 0 || passed.is_some(), "it goes on");
                chunk = &chunk[taken..];
                all.extend(passed);
            }
        }
        assert!(wire.is_between());
        all
    }

    fn frame(text: &[u8], opcode: Data, last: bool, mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut frame = Frame::message(text.to_vec(), OpCode::Data(opcode), last);
        *frame.header_mut() = FrameHeader { mask, ..frame.header().clone() };
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn texts_are_read_and_what_is_not_is_said() {
        let mask = Some([1, 2, 3, 4]);
        let mut bytes = frame("né".as_bytes(), Data::Text, true, mask);
        bytes.extend(frame(b"{\"a", Data::Text, false, mask));
        bytes.extend([0x89, 0x81, 9, 9, 9, 9, 7]);
        bytes.extend(frame(b"\":1}", Data::Continue, true, Some([9, 8, 7, 6])));
        bytes.extend(frame(&[0; 300], Data::Binary, true, None));
        bytes.extend(frame(&vec![b'x'; MAX_TEXT + 1], Data::Text, true, mask));
        bytes.extend(frame(&[0xff], Data::Text, true, None));
        bytes.extend([0xc1, 1, b'z']);
        bytes.extend(text_frame(""));
        bytes.extend([0x88, 2, 0x0f, 0xa0]);
        let right = [
            Passed::Text("né".to_owned()),
            Passed::Frame,
            Passed::Frame,
            Passed::Text("{\"a\":1}".to_owned()),
            Passed::Unread,
            Passed::Unread,
            Passed::Unread,
            Passed::Unread,
            Passed::Text(String::new()),
            Passed::Close(Some(4000)),
        ];
        for piece in [1, 2, 3, 7, 1000, usize::MAX] {
            assert_eq!(passed(&bytes, piece), right, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_we_say_is_a_frame_of_the_standard() {
        for len in [0, 1, 125, 126, 70_000] {
            let text = "t".repeat(len);
            assert_eq!(text_frame(&text), frame(text.as_bytes(), Data::Text, true, None), "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(bytes: Vec<u8>, piece in 1usize..40) {
            let mut wire = Wire::default();
            for mut chunk in bytes.chunks(piece) {
                while !chunk.is_empty() {
                    let (taken, passed) = wire.pass(chunk);
                    prop_assert!(taken > 0 || passed.is_some());
                    chunk = &chunk[taken..];
                }
            }
        }
    }
}
