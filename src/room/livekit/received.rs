//! Which packets of `_reliable` have come: what the server sends again after a cut is heard once.

use std::collections::HashMap;

use super::proto::models::DataPacket;
use super::proto::signal::DataChannelReceiveState;

/// The last number of each stay of a participant.
#[derive(Debug, Default)]
pub(super) struct Received(HashMap<String, u32>);

impl Received {
    /// Whether a packet is new. Those without a number come from the server's API, and once.
    pub(super) fn is_new(&mut self, packet: &DataPacket) -> bool {
        if packet.sequence == 0 || packet.participant_sid.is_empty() {
            return true;
        }
        match self.0.get_mut(&packet.participant_sid) {
            Some(last) if packet.sequence <= *last => false,
            Some(last) => {
                *last = packet.sequence;
                true
            }
            None => {
                self.0.insert(packet.participant_sid.clone(), packet.sequence);
                true
            }
        }
    }

    /// Up to where everything has come: the server sends what comes after.
    pub(super) fn states(&self) -> Vec<DataChannelReceiveState> {
        let state =
            |(sid, last): (&String, &u32)| DataChannelReceiveState { publisher_sid: sid.clone(), last_seq: *last };
        self.0.iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sid: &str, sequence: u32) -> DataPacket {
        DataPacket { participant_sid: sid.to_owned(), sequence, ..DataPacket::default() }
    }

    #[test]
    fn what_comes_again_is_heard_once_for_each_stay() {
        let mut received = Received::default();
        let wire = [("PA_1", 1), ("PA_1", 2), ("PA_2", 1), ("PA_1", 2), ("PA_1", 1), ("PA_1", 4), ("PA_2", 1)];
        let new: Vec<bool> = wire.iter().map(|(sid, at)| received.is_new(&packet(sid, *at))).collect();
        assert_eq!(new, [true, true, true, false, false, true, false]);
        let mut states = received.states();
        states.sort_by(|a, b| a.publisher_sid.cmp(&b.publisher_sid));
        assert_eq!(states[0], DataChannelReceiveState { publisher_sid: "PA_1".to_owned(), last_seq: 4 });
        assert_eq!(states[1].last_seq, 1);
    }

    #[test]
    fn what_has_no_number_is_always_new() {
        let mut received = Received::default();
        assert!(received.is_new(&packet("PA_1", 0)) && received.is_new(&packet("PA_1", 0)));
        assert!(received.is_new(&packet("", 7)) && received.is_new(&packet("", 7)));
        assert!(received.states().is_empty());
    }
}
