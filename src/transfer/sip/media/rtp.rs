//! RTP packets (RFC 3550): what a whisper is made of, and what of a phone's packets is looked at.

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

use super::FRAME;

/// An outgoing stream of 20 ms packets.
#[derive(Debug)]
pub(super) struct Stream {
    ssrc: u32,
    sequence: Seq,
    timestamp: u32,
    begun: bool,
}

impl Stream {
    /// A stream that begins at random numbers (RFC 3550 section 5.1).
    pub(super) fn new() -> Self {
        Self { ssrc: fastrand::u32(..), sequence: fastrand::u16(..).into(), timestamp: fastrand::u32(..), begun: false }
    }

    /// The next packet; the first one is marked as the beginning of a talkspurt (RFC 3551 section 4.1).
    pub(super) fn packet(&mut self, payload_type: u8, frame: &[u8; FRAME]) -> Option<Vec<u8>> {
        let packet = RtpPacketBuilder::new()
            .payload_type(payload_type)
            .ssrc(self.ssrc)
            .sequence(self.sequence)
            .timestamp(self.timestamp)
            .marked(!self.begun)
            .payload(frame)
            .build();
        self.begun = true;
        self.sequence = self.sequence.next();
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        packet.ok()
    }
}

/// What of a received packet matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) payload_type: u8,
    pub(super) ssrc: u32,
    pub(super) timestamp: u32,
    pub(super) payload: &'a [u8],
}

/// Reads a datagram; `None` when it is no RTP packet.
pub(super) fn read(datagram: &[u8]) -> Option<Packet<'_>> {
    let packet = RtpReader::new(datagram).ok()?;
    Some(Packet {
        payload_type: packet.payload_type(),
        ssrc: packet.ssrc(),
        timestamp: packet.timestamp(),
        payload: packet.payload(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_follow_each_other_and_wrap() {
        let mut stream = Stream { ssrc: 9, sequence: 65_535.into(), timestamp: u32::MAX - 159, begun: false };
        let first = stream.packet(0, &[1; FRAME]).unwrap();
        let second = stream.packet(8, &[2; FRAME]).unwrap();
        assert_eq!(first.len(), 172);
        assert_eq!(first[..4], [0x80, 0x80, 0xFF, 0xFF], "marked, the last sequence number");
        assert_eq!(second[..8], [0x80, 8, 0, 0, 0, 0, 0, 0], "not marked, both numbers wrapped");
        let read = read(&second).unwrap();
        assert_eq!((read.payload_type, read.ssrc, read.payload), (8, 9, &[2; FRAME][..]));
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(packet) = read(&bytes) {
                prop_assert!(packet.payload.len() + 12 <= bytes.len());
            }
        }

        #[test]
        fn a_packet_is_read_as_it_was_built(ssrc: u32, timestamp: u32, payload_type in 0u8..128) {
            let mut stream = Stream { ssrc, sequence: 1.into(), timestamp, begun: true };
            let built = stream.packet(payload_type, &[7; FRAME]).unwrap();
            prop_assert_eq!(read(&built), Some(Packet { payload_type, ssrc, timestamp, payload: &[7; FRAME] }));
        }
    }
}
