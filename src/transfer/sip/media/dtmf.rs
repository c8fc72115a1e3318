//! Keys of a phone, as telephone events (RFC 4733).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A key of a phone: `0` to `9`, `*`, `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digit(u8);

/// The keys in the order of their event codes (RFC 4733 section 3.2).
const KEYS: &[u8; 12] = b"0123456789*#";

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key of a phone; write one of 0 to 9, * or #")]
pub struct NotADigit;

impl Digit {
    /// The key `1`.
    pub const ONE: Self = Self(1);
    /// The key `2`.
    pub const TWO: Self = Self(2);

    /// The key of an event code.
    #[must_use]
    pub fn from_event(code: u8) -> Option<Self> {
        (usize::from(code) < KEYS.len()).then_some(Self(code))
    }

    /// The key's event code, 0 to 11.
    #[must_use]
    pub fn event(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(KEYS[usize::from(self.0)]))
    }
}

impl FromStr for Digit {
    type Err = NotADigit;

    fn from_str(text: &str) -> Result<Self, NotADigit> {
        (0..).zip(KEYS).find(|(_, key)| text.as_bytes() == [**key]).map(|(code, _)| Self(code)).ok_or(NotADigit)
    }
}

impl TryFrom<String> for Digit {
    type Error = NotADigit;
    fn try_from(text: String) -> Result<Self, NotADigit> {
        text.parse()
    }
}

impl From<Digit> for String {
    fn from(digit: Digit) -> String {
        digit.to_string()
    }
}

/// Tells presses from the packets that repeat them: one press is one timestamp (RFC 4733 section 2.3.3), however many
/// packets carry it and however often its last one is sent again.
#[derive(Debug, Default)]
pub struct Presses {
    last: Option<(u32, u32)>,
}

impl Presses {
    /// Takes in an event packet of the stream `ssrc`; a key on the first packet of a press.
    pub fn packet(&mut self, ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<Digit> {
        let [code, _, _, _, ..] = *payload else { return None };
        let is_news = match self.last {
            // Timestamps wrap; an older one is a straggler.
            Some((stream, last)) if stream == ssrc => (1..1 << 31).contains(&timestamp.wrapping_sub(last)),
            _ => true,
        };
        if !is_news {
            return None;
        }
        self.last = Some((ssrc, timestamp));
        Digit::from_event(code)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    /// The packets of one press: volume 10, the duration grows, the last one comes three times with the end bit.
    fn press(code: u8) -> Vec<[u8; 4]> {
        let mut packets: Vec<[u8; 4]> = (1u8..5).map(|n| [code, 10, 0, n * 40]).collect();
        packets.extend([[code, 0x80 | 10, 3, 32]; 3]);
        packets
    }

    fn heard(packets: &[(u32, u32, [u8; 4])]) -> String {
        let mut presses = Presses::default();
        packets.iter().filter_map(|(ssrc, time, p)| presses.packet(*ssrc, *time, p)).map(|d| d.to_string()).collect()
    }

    #[test]
    fn a_press_counts_once_however_many_packets_carry_it() {
        let packets: Vec<_> = press(1).into_iter().map(|p| (7, 1000, p)).collect();
        assert_eq!(heard(&packets), "1");
        // Only the end arrives, twice.
        assert_eq!(heard(&packets[5..]), "1");
    }

    #[test]
    fn the_same_key_again_is_another_press_and_a_straggler_is_none() {
        let at = |time, code| press(code).into_iter().map(move |p| (7, time, p));
        let packets = at(u32::MAX - 100, 5).chain(at(700, 5)).chain(at(u32::MAX - 100, 5)).chain(at(900, 11));
        assert_eq!(heard(&packets.collect::<Vec<_>>()), "55#");
    }

    #[test]
    fn keys_have_their_names() {
        for (code, name) in [(0, "0"), (9, "9"), (10, "*"), (11, "#")] {
            let digit: Digit = name.parse().unwrap();
            assert_eq!((digit.event(), digit.to_string().as_str()), (code, name));
        }
        for bad in ["", "12", "A", "é", " 1"] {
            assert!(bad.parse::<Digit>().is_err(), "{bad:?}");
        }
        assert_eq!(Digit::from_event(12), None);
    }

    proptest! {
        #[test]
        fn any_payload_is_taken_without_panic(packets in proptest::collection::vec((any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..8)), 0..20)) {
            let mut presses = Presses::default();
            for (ssrc, timestamp, payload) in packets {
                let first = presses.packet(ssrc, timestamp, &payload);
                prop_assert!(first.is_none() || payload.len() >= 4);
                prop_assert_eq!(presses.packet(ssrc, timestamp, &payload), None, "a repetition is no press");
            }
        }
    }
}
