//! Keys of a phone, as telephone events (RFC 4733).

use crate::number::Digit;

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
