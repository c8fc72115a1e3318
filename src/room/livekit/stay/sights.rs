//! What waits for the reader of a stay ([`Sights`]).

use std::collections::VecDeque;

use crate::room::error::RoomError;
use crate::room::livekit::proto::models::{ParticipantInfo, ParticipantState};
use crate::room::livekit::seen::Seen;

/// So much waits for a reader; what is more waits on the server.
const MOST_PENDING: usize = 64;

/// What whoever asked for the stay hears.
#[derive(Debug)]
pub(in crate::room::livekit) enum Sight {
    Seen(Box<Seen>),
    /// The answer to [`super::Command::Ping`].
    Alive,
    /// It is over.
    Over(RoomError),
}

/// What waits, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Sights(VecDeque<Sight>);

impl Sights {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether more may wait here rather than on the server.
    pub(super) fn have_room(&self) -> bool {
        self.0.len() < MOST_PENDING
    }

    /// Before all that waits.
    pub(super) fn push_first(&mut self, sight: Sight) {
        self.0.push_front(sight);
    }

    pub(super) fn push(&mut self, sight: Sight) {
        self.0.push_back(sight);
    }

    pub(super) fn pop(&mut self) -> Option<Sight> {
        self.0.pop_front()
    }

    /// All that waits.
    pub(super) fn rest(self) -> impl Iterator<Item = Sight> {
        self.0.into_iter()
    }

    pub(super) fn sees(&mut self, seen: Seen) {
        self.0.push_back(Sight::Seen(Box::new(seen)));
    }

    /// Signalling is read on while the reader is behind, as what keeps the connection comes by it. So that the queue does not
    /// grow, what the server says of the room joins what waits there already.
    pub(super) fn news(&mut self, news: Seen) {
        if self.have_room() {
            return self.sees(news);
        }
        // Not before packets that came earlier: they may be of somebody who has left since.
        let since = self.0.iter_mut().rev().map_while(|sight| match sight {
            Sight::Seen(seen) if matches!(**seen, Seen::Packet(_) | Seen::Joined(_)) => None,
            Sight::Seen(seen) => Some(Some(&mut **seen)),
            Sight::Alive | Sight::Over(_) => Some(None),
        });
        let mut waiting = since.flatten();
        match news {
            Seen::Participants(infos) => match waiting.find(|seen| matches!(seen, Seen::Participants(_))) {
                Some(Seen::Participants(known)) => merge(known, infos),
                _ => self.sees(Seen::Participants(infos)),
            },
            Seen::Room(room) => match waiting.find(|seen| matches!(seen, Seen::Room(_))) {
                Some(Seen::Room(known)) => *known = room,
                _ => self.sees(Seen::Room(room)),
            },
            other => self.sees(other),
        }
    }
}

/// Adds what is said of participants to what waits: of each stay the newest, and its end.
fn merge(known: &mut Vec<ParticipantInfo>, news: Vec<ParticipantInfo>) {
    let is_gone = |info: &ParticipantInfo| info.state() == ParticipantState::Disconnected;
    for info in news {
        match known.iter_mut().rev().find(|before| before.sid == info.sid) {
            Some(before) if is_gone(before) => {}
            Some(before) if !is_gone(&info) => {
                if before.version <= info.version {
                    *before = info;
                }
            }
            _ => known.push(info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_stay_the_newest_is_kept_and_its_end() {
        let info = |sid: &str, version: u32, state: ParticipantState| ParticipantInfo {
            sid: sid.to_owned(),
            version,
            state: state.into(),
            ..ParticipantInfo::default()
        };
        let (active, gone) = (ParticipantState::Active, ParticipantState::Disconnected);
        let mut known = vec![info("PA_1", 1, active)];
        merge(&mut known, vec![info("PA_1", 3, active), info("PA_2", 1, active), info("PA_1", 2, active)]);
        assert_eq!(known, [info("PA_1", 3, active), info("PA_2", 1, active)]);
        merge(&mut known, vec![info("PA_1", 0, gone), info("PA_1", 3, active)]);
        assert_eq!(known, [info("PA_1", 3, active), info("PA_2", 1, active), info("PA_1", 0, gone)]);
        merge(&mut known, vec![info("PA_1", 5, active)]);
        assert_eq!(known.len(), 3);
    }
}
